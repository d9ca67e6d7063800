/** `access`: who may sign on to a secure realm, and for what. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { usersHere } from '#runtime/access/keeper';
import { permissionsOf } from '#runtime/access/permissions';
import { openKinds, reachOf } from '#runtime/access/users';
import { Subjects } from '#runtime/bus/subjects';
import { loadConfig } from '#runtime/supervise/load-config';
import { ACCESS_ROLES, type AccessRole } from '#schemas/access';
import type { RealmConfig } from '#schemas/config';
import { FabricError } from '#schemas/fabric-error';
import { type Builtins, machineNames } from '../builtins.ts';
import { declare, handle, type Shell } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { type Choice, findConfig } from '../locate.ts';
import { table } from '../render/table.ts';
import { keyFolder } from './keys/place.ts';

/** Stands for the kid of an identity that is only an example. */
const ANY_KID = '<kid>';

export function accessCommand(shell: Shell): Command {
  const command = declare({
    name: 'access',
    summary: 'show who may sign on to a secure realm, and for what',
    description:
      'Shows the identities whose keys sign on to the NATS server of a secure realm, and the subjects on which each may publish and hear, from the config and the keys that this folder knows.',
    group: 'Set up',
    examples: [
      ['infrafabric access list', 'a row for each identity'],
      ['infrafabric access show agent/alice', 'what alice may do'],
      ['infrafabric access show auditor', 'what any auditor may do'],
    ],
  });
  command.addCommand(listCommand(shell));
  command.addCommand(showCommand(shell));
  return command;
}

function listCommand(shell: Shell): Command {
  const command = new Command('list').description('the identities that may sign on');
  return handle(shell, command, async ({ io, out, options, builtins }) => {
    const grants = grantsOf(options, io, await builtins());
    const users = await usersHere(keyFolder(options, io), grants);
    for (const { owner, role, nkey, kid } of users) out.data({ owner, role, nkey, kid });
    const rows = users.map(({ owner, role, permissions, nkey }) => [owner, role, permissions.account, nkey]);
    const columns = ['owner', 'role', 'account', 'nkey'].map((title) => ({ title }));
    out.lines(
      rows.length === 0
        ? ['Nobody may sign on yet: `infrafabric keys new agent/NAME` makes a key.']
        : table(columns, rows, { palette: out.palette, width: out.width }),
    );
    return EXIT.ok;
  });
}

function showCommand(shell: Shell): Command {
  const command = new Command('show')
    .description('what a role, or an identity, may do')
    .argument('<name>', `${ACCESS_ROLES.join(', ')}, or an owner such as agent/alice`);
  return handle<[string], object>(shell, command, async ({ io, out, options, builtins }, text) => {
    const grants = grantsOf(options, io, await builtins());
    const { role, permissions } =
      roleNamed(text, grants) ?? (await identityNamed(text, keyFolder(options, io), grants));
    out.data({ name: text, role, ...permissions });
    const { faint, name } = out.palette;
    out.lines([
      `${name(text)}  ${faint(`role ${role} · account ${permissions.account}`)}`,
      ...permissions.publish.map((subject) => `  publish    ${subject}`),
      ...permissions.subscribe.map((subject) => `  subscribe  ${subject}`),
    ]);
    return EXIT.ok;
  });
}

type Grants = Parameters<typeof usersHere>[1];
type Shown = Pick<Awaited<ReturnType<typeof usersHere>>[number], 'role' | 'permissions'>;

function roleNamed(text: string, grants: Grants): Shown | undefined {
  const role: AccessRole | undefined = ACCESS_ROLES.find((known) => known === text);
  if (role === undefined) return undefined;
  const owner = `${role}/NAME`;
  const reach = reachOf(owner, role, grants);
  return { role, permissions: permissionsOf(role, { kid: ANY_KID, owner }, reach, grants.subjects) };
}

async function identityNamed(owner: string, dataDir: string, grants: Grants): Promise<Shown> {
  const found = (await usersHere(dataDir, grants)).find((user) => user.owner === owner);
  if (found !== undefined) return found;
  throw new FabricError(cliErrors.key_unknown, `No key of ${owner} signs on here`);
}

/** Throws `bad_config`, `config_missing`. */
function grantsOf(choice: Choice, io: Io, builtins: Builtins): Grants {
  const file = choice.config === undefined ? findConfig(io.cwd) : resolve(io.cwd, choice.config);
  if (file === undefined) {
    throw new FabricError(cliErrors.config_missing, `There is no config in ${io.cwd}`);
  }
  const config: RealmConfig = loadConfig(file, { env: io.env, machines: machineNames(builtins) }).config;
  return {
    rules: config.access,
    kinds: openKinds(config),
    subjects: new Subjects(config.prefix, config.shards),
  };
}
