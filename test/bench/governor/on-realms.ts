/** Cases that want a realm of their own for each durability, and a client of it. */
import { type Client, connect } from '#runtime/client/node';
import { type Durability, startRealm } from '../realm.ts';
import type { Row } from '../row.ts';

const DURABILITIES = ['strict', 'relaxed'] as const;

interface Case {
  readonly bench: string;
  readonly durability: Durability;
}

/** The same cases under each durability. */
export function underEach<Cases>(casesOf: (durability: Durability) => readonly Cases[]): readonly Cases[] {
  return DURABILITIES.flatMap(casesOf);
}

/** Starts a realm where one of its cases is wanted, and ends it after them. */
export async function* onRealms<One extends Case>(
  cases: readonly One[],
  wanted: (bench: string) => boolean,
  profileDir: string | undefined,
  run: (client: Client, chosen: readonly One[]) => AsyncIterable<Row>,
): AsyncGenerator<Row> {
  for (const durability of DURABILITIES) {
    const chosen = cases.filter((one) => one.durability === durability && wanted(one.bench));
    if (chosen.length === 0) continue;
    await using realm = await startRealm({ durability, profileDir });
    await using client = await connect({ ...realm.address, from: 'operator/bench' });
    yield* run(client, chosen);
  }
}
