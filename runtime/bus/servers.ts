/** Addresses of NATS servers: one, or several of a cluster separated by commas. */

/** `a,b` → `[a, b]`. */
export function serversOf(url: string): string[] {
  return url
    .split(',')
    .map((server) => server.trim())
    .filter((server) => server !== '');
}

/** Hosts and ports alone: they may be shown, what stands before them may be a secret. */
export function hostsOf(url: string): string {
  return serversOf(url)
    .map((server) => {
      const whole = withScheme(server);
      return URL.canParse(whole) ? new URL(whole).host : 'an address that is none';
    })
    .join(', ');
}

/** `nats://token@host` → url and token; of several addresses the first that has a token gives it. */
export function splitToken(text: string): { url: string; token?: string } {
  let token: string | undefined;
  const urls = serversOf(text).map((server) => {
    const url = new URL(withScheme(server));
    if (url.username === '' || url.password !== '') return server;
    token ??= decodeURIComponent(url.username);
    url.username = '';
    return url.toString();
  });
  return { url: urls.join(','), ...(token !== undefined && { token }) };
}

/** The way back: every address with the token. */
export function withToken(url: string, token: string | undefined): string {
  if (token === undefined) return url;
  return serversOf(url)
    .map((server) => {
      const { protocol, host } = new URL(withScheme(server));
      return `${protocol}//${encodeURIComponent(token)}@${host}`;
    })
    .join(',');
}

function withScheme(server: string): string {
  return server.includes('://') ? server : `nats://${server}`;
}
