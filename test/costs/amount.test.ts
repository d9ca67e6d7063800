import test from 'ava';
import fc from 'fast-check';
import { microsOf, money } from '#actors/costs/money';
import { amountMicros, boundMicros, dearestInput, priceOf } from '#machines/costs/amount';
import type { Tokens } from '#schemas/cost';
import { formatMoney } from '#schemas/money';
import { type PerMillion, TOKEN_CLASSES } from '#schemas/price';

const NONE: Tokens = { input: 0, cachedInput: 0, cacheWrite: 0, cacheWriteLong: 0, output: 0 };
const DEAR: PerMillion = {
  input: 3_000_000,
  cachedInput: 300_000,
  cacheWrite: 3_750_000,
  cacheWriteLong: 6_000_000,
  output: 15_000_000,
};

/** Tokens, prices for a million tokens, and what that makes in micro-units; computed by hand. */
const GOLDEN: readonly (readonly [Partial<Tokens>, PerMillion, number])[] = [
  [{}, DEAR, 0],
  [{ input: 1_000_000 }, DEAR, 3_000_000],
  [{ input: 1_000, output: 500 }, DEAR, 10_500],
  [{ input: 12, cachedInput: 1_000, cacheWrite: 400, cacheWriteLong: 100, output: 7 }, DEAR, 2_541],
  // Without prices of their own, cached tokens cost what the class behind them costs.
  [{ cachedInput: 10, cacheWrite: 10, cacheWriteLong: 10 }, { input: 1_000_000, output: 0 }, 30],
  [{ cacheWriteLong: 10 }, { input: 1_000_000, cacheWrite: 2_000_000, output: 0 }, 20],
  // Halves go to the even side, and only the whole sum is rounded.
  [{ input: 1 }, { input: 500_000, output: 0 }, 0],
  [{ input: 3 }, { input: 500_000, output: 0 }, 2],
  [{ input: 5 }, { input: 500_000, output: 0 }, 2],
  [{ input: 1, output: 1 }, { input: 500_000, output: 500_000 }, 1],
  [{ input: 1 }, { input: 500_001, output: 0 }, 1],
  [{ input: 1 }, { input: 499_999, output: 0 }, 0],
  // Beyond what a double multiplies exactly.
  [{ input: 999_999_999 }, { input: 8_999_999_999_999, output: 0 }, 8_999_999_990_999_000],
];

for (const [n, [tokens, prices, wanted]] of GOLDEN.entries()) {
  test(`golden ${n}: ${JSON.stringify(tokens)} cost ${wanted}`, (t) => {
    t.is(amountMicros({ ...NONE, ...tokens }, prices), wanted);
  });
}

test('an amount that would not be exact is none', (t) => {
  t.is(amountMicros({ ...NONE, input: 1e9, output: 1e9 }, { input: 1e12, output: 1e12 }), 2e15);
  t.is(amountMicros({ ...NONE, input: 1e12 }, { input: 1e12, output: 0 }), undefined);
});

const counts = fc.record(
  Object.fromEntries(TOKEN_CLASSES.map((of) => [of, fc.nat({ max: 1_000_000_000 })])),
) as unknown as fc.Arbitrary<Tokens>;
const price = fc.nat({ max: 1_000_000_000 });
const prices = fc.record(
  { input: price, cachedInput: price, cacheWrite: price, cacheWriteLong: price, output: price },
  { requiredKeys: ['input', 'output'] },
) as fc.Arbitrary<PerMillion>;

test('an amount is the rational sum, off by half a micro-unit at most; a reservation is never less', (t) => {
  fc.assert(
    fc.property(counts, prices, (tokens, perMillion) => {
      const amount = BigInt(amountMicros(tokens, perMillion) ?? -1);
      const bound = BigInt(boundMicros(tokens, perMillion) ?? -1);
      let exact = 0n;
      for (const of of TOKEN_CLASSES) exact += BigInt(tokens[of]) * BigInt(priceOf(perMillion, of));
      const off = amount * 1_000_000n - exact;
      t.true(off <= 500_000n && off >= -500_000n);
      t.true(bound * 1_000_000n >= exact && bound >= amount && bound - amount <= 1n);
    }),
  );
});

test('whatever the provider’s cache does, no input costs more than the dearest way in', (t) => {
  fc.assert(
    fc.property(prices, fc.nat({ max: 1_000_000 }), (perMillion, tokens) => {
      const bound = boundMicros({ ...NONE, [dearestInput(perMillion)]: tokens }, perMillion) ?? -1;
      for (const of of TOKEN_CLASSES.filter((one) => one !== 'output')) {
        t.true(bound >= (amountMicros({ ...NONE, [of]: tokens }, perMillion) ?? 0));
      }
    }),
  );
});

test('decimals and micro-units are the same money', (t) => {
  t.is(microsOf('2.50'), 2_500_000);
  t.is(microsOf(0.075), 75_000);
  t.is(microsOf('0.000001'), 1);
  t.is(microsOf(15), 15_000_000);
  for (const wrong of ['0.0000001', '-1', '1e3', '1,5', '', 'free', '1234567890', 1e-7, Number.NaN]) {
    t.is(microsOf(wrong), undefined, String(wrong));
  }
  t.is(money(1, 'USD'), '0.000001 USD');
  t.is(money(12_345_678, 'EUR'), '12.345678 EUR');
  fc.assert(
    fc.property(fc.nat({ max: 999_999_999_999 }), (micros) => microsOf(formatMoney(micros)) === micros),
  );
  t.pass();
});
