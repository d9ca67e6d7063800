/**
 * Which tests a run takes. `npm test` leaves the files of test/long-files.ts, and in the other files the tests that are
 * marked `test.skipIf(isEveryday)`: they are dear, and what they show at length a test of every run shows at its core.
 * `TEST_ALL=1 npm test` leaves nothing, nor does AVA when it is called by itself.
 */
export const isEveryday = process.env['TEST_TIER'] === 'everyday';
