/** Writes every page and schema that is made from code; with `--check` it only says which are stale. */
await import('./schemas.ts');
await import('./config-docs.ts');
await import('./cli-docs.ts');
await import('./errors-docs.ts');
await import('./asyncapi.ts');
await import('./verifier-page.ts');
