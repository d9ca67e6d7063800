/**
 * Ends this process. `node:process` is imported by nothing that runs here: an import of it opens standard input, output
 * and error as streams, which do not block, and these pipes are read and written by calls that wait (wire.ts).
 */
export const exit: (code: number) => never = process.exit.bind(process);
