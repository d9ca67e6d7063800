/**
 * The accounts of a secure realm, as the server's config has them. Pure: text from data.
 *
 * B1  `realm` holds the streams; nodes, operators and auditors sign on to it. `outside` has no JetStream; agents and
 *     tools sign on to it and get asks, sends and live events over as services and a stream of `realm`. `audit` gets
 *     over what is read.
 * B2  `share`: the server writes into each message that comes over whose key sent it (`Nats-Request-Info`), and takes
 *     out what the sender wrote there. A node so knows its sender, signed or not.
 * B3  Who signs on with no key listed here is refused; no account is for nobody.
 */
import type { Subjects } from '#runtime/bus/subjects';
import { type AccountName, auditServices, type Permissions } from './permissions.ts';

/** An identity and its rights, as the server needs to know it. */
export interface User {
  /** `U…`. */
  readonly nkey: string;
  readonly owner: string;
  readonly permissions: Permissions;
}

/** Answers of a service that come in several messages end so long after the last one. */
const ANSWERS_END = '1m';

interface Service {
  readonly subject: string;
  /** Answered by several messages. */
  readonly many?: boolean;
}

/** What stands in the server's config. */
export function accountsText(users: readonly User[], subjects: Subjects): string {
  const prefix = subjects.prefix.toUpperCase();
  const status: Service = { subject: subjects.api('status'), many: true };
  const outside: readonly Service[] = [
    { subject: subjects.wildcards.in() },
    ...subjects.reach.asks().map((subject) => ({ subject, many: true })),
    { subject: subjects.reach.leases() },
    status,
  ];
  const audit: readonly Service[] = auditServices(subjects).map((subject) => ({
    subject,
    many: subject === status.subject,
  }));
  const exported = new Map([...outside, ...audit].map((service) => [service.subject, service]));
  const events = q(subjects.wildcards.events());
  const open = `accounts: [${prefix}_OUTSIDE, ${prefix}_AUDIT]`;
  const exports = [...exported.values()].map(({ subject, many }) =>
    many === true
      ? `{ service: ${q(subject)}, response_type: Stream, threshold: ${q(ANSWERS_END)}, ${open} }`
      : `{ service: ${q(subject)}, ${open} }`,
  );
  const imports = (services: readonly Service[], more: string): string =>
    [
      ...services.map(
        ({ subject }) => `{ service: { account: ${prefix}_REALM, subject: ${q(subject)} }${more} }`,
      ),
      `{ stream: { account: ${prefix}_REALM, subject: ${events} } }`,
    ].join('\n      ');
  return `accounts {
  ${prefix}_REALM {
    jetstream: enabled
    exports: [
      ${[...exports, `{ stream: ${events}, ${open} }`].join('\n      ')}
    ]
    users: [
${usersText(users, 'realm')}
    ]
  }
  ${prefix}_OUTSIDE {
    imports: [
      ${imports(outside, ', share: true')}
    ]
    users: [
${usersText(users, 'outside')}
    ]
  }
  ${prefix}_AUDIT {
    imports: [
      ${imports(audit, '')}
    ]
    users: [
${usersText(users, 'audit')}
    ]
  }
  ${prefix}_SYS { }
}
system_account: ${prefix}_SYS
`;
}

function usersText(users: readonly User[], account: AccountName): string {
  return users
    .filter(({ permissions }) => permissions.account === account)
    .map(
      ({ nkey, owner, permissions: { publish, subscribe } }) => `      # ${owner}
      { nkey: ${nkey}, permissions: {
        publish: { allow: ${list(publish)} }
        subscribe: { allow: ${list(subscribe)} }
      } }`,
    )
    .join('\n');
}

function list(subjects: readonly string[]): string {
  return `[${subjects.map(q).join(', ')}]`;
}

/** JSON strings are valid in the server's config language. */
function q(text: string): string {
  return JSON.stringify(text);
}
