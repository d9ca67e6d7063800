/** `policy apply`, `policy show`. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { declare, handle, type Shell, timeoutOption, wholeNumber } from '#runtime/cli/command';
import { EXIT, Refused } from '#runtime/cli/exit-codes';
import type { Client } from '#runtime/client/client';
import { FabricError } from '#schemas/fabric-error';
import { POLICY_ACTOR, type PolicyActionInput, type PolicyReply, type PolicyView } from '#schemas/policy';
import { actAs, addressOption } from '../../../coordinator/cli/acting.ts';
import { policyErrors } from '../errors.ts';
import { compilePolicy } from '../policy.ts';
import { readPolicyFile } from './file.ts';

const TIMEOUT_MS = 30_000;
/** What a driver has done cannot be awaited from outside, only looked at. */
const LOOK_EVERY_MS = 25;

interface Options {
  readonly reason: string;
  readonly as?: string;
  readonly base?: number;
  readonly timeout: number;
}

export function applyCommand(shell: Shell): Command {
  const command = declare({
    name: 'apply',
    summary: 'put a policy into force',
    description:
      'Checks a policy and puts it into force on every node, in place of the version that was in force when this began, or of the one that --base names. Its text, who applied it and why are an entry of the log.',
    group: 'Work',
    examples: [['infrafabric policy apply policy.yaml --reason "claims above 50 need a person"', '']],
  })
    .argument('<file>', 'the policy')
    .requiredOption('--reason <text>', 'why, for the record')
    .option('--base <version>', 'the version that it takes the place of', wholeNumber)
    .addOption(
      new Option('--as <address>', 'who applies it (default operator/<user>)').argParser(addressOption),
    )
    .addOption(timeoutOption(TIMEOUT_MS));
  return handle<[string], Options>(shell, command, async ({ io, out, options }, file) => {
    const text = readPolicyFile(file, io);
    using policy = await compilePolicy(text, { name: file });
    const { reason, timeout } = options;
    await using acting = await actAs(options.as, options, io);
    const { client } = acting;
    const base = options.base ?? (await viewOf(client)).active?.version ?? 0;
    const event: PolicyActionInput = { type: 'policy.apply', text, base, reason, source: file };
    const reply = (await asked(client, event)) as PolicyReply;
    if (!reply.accepted) throw new Refused(new FabricError(policyErrors.policy_refused, reply.reason));
    const { version } = reply;
    await inForce(client, version, timeout);
    out.data({ ok: true, version, sha256: policy.sha256, base });
    out.lines([`${out.palette.good('✓')} version ${version} is in force, SHA-256 ${policy.sha256}`]);
    return EXIT.ok;
  });
}

export function showCommand(shell: Shell): Command {
  const command = declare({
    name: 'show',
    summary: 'the policy in force: its text, who applied it, and why',
    group: 'Work',
    examples: [['infrafabric policy show > policy.yaml', 'its text, as it was applied']],
  });
  return handle<[], object>(shell, command, async ({ io, out, options }) => {
    await using acting = await actAs(undefined, options, io);
    const view = await viewOf(acting.client);
    const { active, refused } = view;
    out.data(view);
    if (refused !== null)
      out.note(`version ${refused.version} by ${refused.by} was refused: ${refused.error}`);
    if (active === null) {
      out.note('no policy is in force: whoever gets in may do what the machines let them');
      return EXIT.ok;
    }
    const { version, by, at, reason, sha256, text } = active;
    out.note(`version ${version} by ${by}, ${new Date(at).toISOString()}: ${reason} (SHA-256 ${sha256})`);
    out.lines([text.trimEnd()]);
    return EXIT.ok;
  });
}

async function inForce(client: Client, version: number, timeoutMs: number): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; ; await pause(LOOK_EVERY_MS)) {
    const { active, refused } = await viewOf(client);
    if ((active?.version ?? 0) >= version) return;
    if (refused?.version === version)
      throw new Refused(new FabricError(policyErrors.policy_refused, `Version ${version}: ${refused.error}`));
    if (Date.now() > deadline)
      throw new FabricError(policyErrors.policy_not_installed, `Version ${version} is not in force yet`);
  }
}

async function viewOf(client: Client): Promise<PolicyView> {
  return (await asked(client, { type: 'policy.get' })) as PolicyView;
}

/** Throws `policy_not_there` where the realm has no kind for it, and what it is refused with. */
async function asked(client: Client, event: PolicyActionInput): Promise<unknown> {
  try {
    return (await client.ask(POLICY_ACTOR, event)).reply;
  } catch (thrown) {
    if (!(thrown instanceof FabricError) || thrown.retryable) throw thrown;
    if (thrown.code !== 'unknown_kind') throw new Refused(thrown);
    throw new Refused(
      new FabricError(policyErrors.policy_not_there, 'This realm has no kind "policy"', { cause: thrown }),
    );
  }
}
