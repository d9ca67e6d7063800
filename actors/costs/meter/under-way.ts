/**
 * Calls under way, on disk: what a meter that was killed leaves behind, the next one in the same folder charges.
 *
 * W1  A call stands there before it is forwarded, and until it is settled. The file is written by system calls, not synced: it
 *     outlives the process, not the machine.
 * W2  A file is that of one process. Another takes it over by renaming it, once, and only when that process is no more.
 * W3  It names who pays and for what; neither bodies nor keys.
 * W4  What a call took stands there before the ledger is told. Beside each call stands what was spent, in all, of the reservation
 *     that pays for it: so who comes after knows at least as much as the ledger, and its sum counts nothing twice.
 */
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Standing } from '#actors/governor/allowance/allowance';
import { most } from '#machines/ledger/room';
import { type Amounts, amountsSchema } from '#schemas/budget';
import { costRecordSchema, tokensSchema } from '#schemas/cost';
import { priceRowSchema } from '#schemas/price';
import type { Held, Used } from './till.ts';

/** Beyond it a file in which nothing is under way begins anew. */
const FILE_BYTES_MAX = 2 ** 20;
const NAME = /^(\d{1,10})-[0-9a-f-]{36}\.calls$/;
const OWNER_ONLY = 0o600;
const FOLDER_OWNER_ONLY = 0o700;

const paidSchema = z.object({ reservation: z.string(), spent: amountsSchema });
const usedSchema = costRecordSchema.pick({ at: true, tokens: true, counted: true, outcome: true });

const heldSchema = z.object({
  call: z.object({
    id: z.string(),
    provider: z.string(),
    model: z.string(),
    payer: z.object({
      session: z.string().nullable(),
      task: z.string().nullable(),
      swarm: z.string().nullable(),
    }),
    bodyBytes: z.int().min(0),
    traceparent: z.string(),
  }),
  row: priceRowSchema.optional(),
  paid: paidSchema.optional().describe('Of what it is paid; absent where no budget is wanted.'),
  bound: tokensSchema.describe('The most that it may have used.'),
  used: usedSchema.optional().describe('What it took; absent where nobody knows.'),
});
const chargedSchema = z.object({ id: z.string(), used: usedSchema, paid: paidSchema.optional() });
const lineSchema = z.union([
  z.object({ begun: heldSchema }),
  z.object({ charged: chargedSchema }),
  z.object({ ended: z.string() }),
]);

/** What is known of a call whose meter is no more. */
export type Lost = z.infer<typeof heldSchema>;

/** Of this very process: what another meter in it has open is not left over. */
const files = new Set<string>();

export class UnderWay implements Disposable {
  readonly #file: string;
  readonly #fd: number;
  readonly #ids = new Set<string>();
  #bytes = 0;

  private constructor(file: string) {
    this.#file = file;
    this.#fd = openSync(file, 'w', OWNER_ONLY);
    files.add(file);
  }

  /** `lost`: calls of meters that are no more. They stay in the file until they are told to have ended. */
  static open(folder: string): { readonly underWay: UnderWay; readonly lost: readonly Lost[] } {
    mkdirSync(folder, { recursive: true, mode: FOLDER_OWNER_ONLY });
    const left = readdirSync(folder).flatMap((name) => takenOver(folder, name));
    // One that was being taken over may stand in two.
    const lost = [
      ...new Map(left.flatMap(({ calls }) => calls).map((call) => [call.call.id, call])).values(),
    ];
    const underWay = new UnderWay(fileIn(folder));
    for (const call of lost) underWay.#begun(call);
    for (const { file } of left) rmSync(file);
    return { underWay, lost };
  }

  /** W1, W3. */
  begin({ call, row, taken, bound }: Held): void {
    const { id, provider, model, payer, bodyBytes, traceparent } = call;
    const { session, task, swarm } = payer;
    this.#begun({
      call: { id, provider, model, payer: { session, task, swarm }, bodyBytes, traceparent },
      bound,
      ...(row !== undefined && { row }),
      ...(taken !== undefined && { paid: taken.standing() }),
    });
  }

  /** W4. */
  charged(id: string, used: Used & { readonly at: number }, paid: Standing | undefined): void {
    this.#write({ charged: { id, used, ...(paid !== undefined && { paid }) } });
  }

  end(id: string): void {
    if (!this.#ids.delete(id)) return;
    if (this.#ids.size === 0 && this.#bytes >= FILE_BYTES_MAX) {
      ftruncateSync(this.#fd, 0);
      this.#bytes = 0;
    } else this.#write({ ended: id });
  }

  /** What is still under way stays for the next. */
  [Symbol.dispose](): void {
    closeSync(this.#fd);
    files.delete(this.#file);
    if (this.#ids.size === 0) rmSync(this.#file, { force: true });
  }

  #begun(lost: Lost): void {
    this.#ids.add(lost.call.id);
    this.#write({ begun: lost });
  }

  #write(line: object): void {
    // Behind what is there, also where the file was cut.
    this.#bytes += writeSync(this.#fd, `${JSON.stringify(line)}\n`, this.#bytes);
  }
}

/** W2. Nothing for the file of a process that lives, or that another took first. */
function takenOver(
  folder: string,
  name: string,
): { readonly file: string; readonly calls: readonly Lost[] }[] {
  const pid = Number(NAME.exec(name)?.[1]);
  const before = join(folder, name);
  const isOpen = pid === process.pid ? files.has(before) : isAlive(pid);
  if (Number.isNaN(pid) || isOpen) return [];
  const file = fileIn(folder);
  try {
    renameSync(before, file);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw thrown;
  }
  return [{ file, calls: callsIn(readFileSync(file, 'utf8')) }];
}

function fileIn(folder: string): string {
  return join(folder, `${process.pid}-${randomUUID()}.calls`);
}

/** The last line may be half written. */
function callsIn(text: string): readonly Lost[] {
  const calls = new Map<string, Lost>();
  const spent = new Map<string, Amounts>();
  const learn = (paid: Standing | undefined): void => {
    if (paid !== undefined)
      spent.set(paid.reservation, most(spent.get(paid.reservation) ?? paid.spent, paid.spent));
  };
  for (const json of text.split('\n')) {
    const line = lineSchema.safeParse(parsed(json)).data;
    if (line === undefined) continue;
    if ('ended' in line) calls.delete(line.ended);
    else if ('begun' in line) {
      learn(line.begun.paid);
      calls.set(line.begun.call.id, line.begun);
    } else {
      const { id, used, paid } = line.charged;
      learn(paid);
      const call = calls.get(id);
      if (call !== undefined) calls.set(id, { ...call, used });
    }
  }
  // W4: of each reservation what was known last.
  return [...calls.values()].map(({ paid, ...call }) =>
    paid === undefined
      ? call
      : { ...call, paid: { ...paid, spent: spent.get(paid.reservation) ?? paid.spent } },
  );
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
