import { readFileSync } from 'node:fs';
import specs from '@asyncapi/specs';
import { Ajv } from 'ajv';
import test from 'ava';
import { parse } from 'yaml';

test('docs/asyncapi.yaml is a valid AsyncAPI 3.0 document', (t) => {
  const document: unknown = parse(readFileSync('docs/asyncapi.yaml', 'utf8'));
  const ajv = new Ajv({
    strict: false,
    logger: false,
    formats: { uri: true, 'uri-reference': true, email: true },
  });
  const { $schema: _, ...schema } = (specs as { schemasWithoutId: Record<string, object> }).schemasWithoutId[
    '3.0.0'
  ] as Record<string, unknown>;
  const validate = ajv.compile(schema);
  const isValid = validate(document);
  t.true(isValid, ajv.errorsText(validate.errors?.slice(0, 5)));
});
