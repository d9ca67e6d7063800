/** What counting fuel costs: work of several kinds as it is and metered, in turn, in this process. */
import { meterModule } from '#runtime/sandbox/gate/core/meter-module';
import { Reader } from '#runtime/sandbox/gate/reader';
import { GATE_LIMITS } from '#runtime/sandbox/gate/types';
import { FUEL_IMPORT, METER_MODULE, PAGES_IMPORT } from '#runtime/sandbox/world/meter';
import { median, type Row, rounded, row } from '../row.ts';
import type { Suite } from '../suite.ts';
import { WORK, workModule } from './guests.ts';

const ROUNDS = 9;
/** V8 compiles what is hot while it runs: these are not counted. */
const WARM_UP = 3;
const name = (work: string) => `fuel: ${work}`;

export const fuel: Suite = {
  benches: Object.keys(WORK).map(name),
  async *run(wanted, { scale }) {
    for (const work of Object.keys(WORK)) if (wanted(name(work))) yield await overhead(work, scale);
  },
};

async function overhead(work: string, scale: number): Promise<Row> {
  const plain = Uint8Array.from(await workModule(work));
  const { bytes } = meterModule(new Reader(plain), GATE_LIMITS);
  const left = new WebAssembly.Global({ value: 'i64', mutable: true }, 2n ** 60n);
  const pages = new WebAssembly.Global({ value: 'i32', mutable: true }, 0);
  const runs = {
    plain: workOf(plain, {}),
    metered: workOf(bytes, { [METER_MODULE]: { [FUEL_IMPORT]: left, [PAGES_IMPORT]: pages } }),
  };
  const times = WORK[work]?.times ?? 1;
  const rounds = scale < 1 ? 1 : ROUNDS;
  const ms = { plain: [] as number[], metered: [] as number[] };
  for (let round = -WARM_UP; round < rounds; round += 1) {
    for (const kind of ['plain', 'metered'] as const) {
      const began = performance.now();
      runs[kind](times);
      if (round >= 0) ms[kind].push(performance.now() - began);
    }
  }
  const before = left.value;
  runs.metered(times);
  const [plainMs, meteredMs] = [median(ms.plain), median(ms.metered)];
  return row(name(work), {
    p50Ms: rounded(meteredMs, 1),
    plainP50Ms: rounded(plainMs, 1),
    overhead: rounded(median(ms.metered.map((each, index) => each / (ms.plain[index] ?? each))), 2),
    fuel: Number(before - left.value),
    millionUnitsPerSec: Math.round(Number(before - left.value) / meteredMs / 1_000),
  });
}

function workOf(bytes: Uint8Array<ArrayBuffer>, imports: WebAssembly.Imports): (times: number) => number {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
  return exports['work'] as (times: number) => number;
}
