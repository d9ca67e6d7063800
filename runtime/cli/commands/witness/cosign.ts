/** `witness cosign`: a C2SP tlog-witness, for whoever wants to vouch for somebody else's log. It needs no realm. */
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { lockDataFolder } from '#runtime/bus/lock';
import { signingKey } from '#runtime/edge/sign';
import { ensureSeedFile } from '#runtime/keys/key-file';
import type { Logger } from '#runtime/shard/ports';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import { ED25519, parseVerifierKey, type VerifierKey } from '#runtime/witness/note';
import { Cosigner } from '#runtime/witness/service/cosign/cosigner';
import { serveCosigner } from '#runtime/witness/service/cosign/serve';
import { StateFile } from '#runtime/witness/service/cosign/state-file';
import { handle, type Shell } from '../../command.ts';
import { EXIT } from '../../exit-codes.ts';
import type { Io } from '../../io.ts';
import { logger, logLevel } from '../../logger.ts';
import { palette, wantsColour } from '../../render/palette.ts';

const NAME_DEFAULT = 'infrafabric-cosigner';
const LISTEN_DEFAULT = '127.0.0.1:7390';
const FOLDER_DEFAULT = '.infrafabric-cosigner';
const KEY_FILE = 'cosigner.seed';
const STATE_FILE = 'state.json';

interface Options {
  readonly log: readonly VerifierKey[];
  readonly name: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly folder: string;
}

export function witnessCosignCommand(shell: Shell): Command {
  const command = new Command('cosign')
    .description(
      'cosign the checkpoints of logs you know, until Ctrl-C: an HTTP server of C2SP tlog-witness. Its key and what it cosigned lie in its folder; keep that, for it is what makes a second history impossible.',
    )
    .requiredOption(
      '--log <key>',
      'verifier key of a log to cosign, as `witness key` prints it; repeat for more',
      collectKey,
    )
    .option('--name <name>', 'name of this cosigner, best a URL without its scheme', NAME_DEFAULT)
    .addOption(
      new Option('--listen <host:port>', 'address to listen on')
        .argParser(address)
        .default(address(LISTEN_DEFAULT), LISTEN_DEFAULT),
    )
    .option('--folder <dir>', 'its own folder, for its key and its state', FOLDER_DEFAULT);
  return handle<[], Options>(shell, command, async ({ io, out, options }) => {
    const folder = resolve(io.cwd, options.folder);
    const lock = lockDataFolder(folder);
    try {
      const cosigner = new Cosigner({
        name: options.name,
        key: signingKey(await ensureSeedFile(join(folder, KEY_FILE))),
        logs: options.log,
        state: new StateFile(join(folder, STATE_FILE)),
        now: Date.now,
      });
      const listener = await serveCosigner(cosigner, { ...options.listen, logger: remarks(io, out.json) });
      try {
        out.data({
          event: 'cosigning',
          url: listener.url,
          key: cosigner.key,
          logs: options.log.map(({ name }) => name),
        });
        const { good, faint } = out.palette;
        out.lines([
          `${good('●')} cosigning ${options.log.map(({ name }) => name).join(', ')} at ${listener.url}`,
          `  key  ${cosigner.key}`,
          faint('  Realms take both under witness.cosigners. Ctrl-C ends it.'),
        ]);
        await new Promise<void>((done) => {
          if (io.signal.aborted) done();
          else io.signal.addEventListener('abort', () => done(), { once: true });
        });
      } finally {
        await listener.close();
      }
    } finally {
      lock.release();
    }
    return EXIT.ok;
  });
}

function remarks(io: Io, json: boolean): Logger {
  return logger({
    level: () => logLevel(io.env['INFRAFABRIC_LOG'], 'warn'),
    json,
    palette: palette(wantsColour(io.env, io.stderr)),
    write: (line) => io.stderr.write(`${line}\n`),
    now: Date.now,
  });
}

function collectKey(text: string, known: readonly VerifierKey[] = []): readonly VerifierKey[] {
  const key = parseVerifierKey(nodePrimitives.sha256, text.trim());
  if (key?.type !== ED25519)
    throw new InvalidArgumentError('Expected a verifier key such as name+1a2b3c4d+base64.');
  return [...known, key];
}

function address(text: string): { host: string; port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) {
    throw new InvalidArgumentError('Expected host and port, such as 127.0.0.1:7390.');
  }
  return { host: (match[1] ?? '').replace(/^\[(.*)\]$/, '$1'), port };
}
