/** Versions of nats-server. */
export const SERVER_VERSION_MIN = '2.12.0';

/** Negative where `a` is older. Pre-release suffixes count as the release. */
export function compareVersions(a: string, b: string): number {
  const parse = (text: string): number[] =>
    text
      .replace(/^v/, '')
      .split(/[.-]/)
      .slice(0, 3)
      .map((part) => Number.parseInt(part, 10) || 0);
  const [left, right] = [parse(a), parse(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
