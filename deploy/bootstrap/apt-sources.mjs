/**
 * Reads the machine's own apt sources, so that a newer suite can be asked of the mirror this machine already
 * uses and trusts. Both forms are understood: deb822 `.sources` and one-line `.list`.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * @typedef {object} AptSource
 * @property {string[]} uris
 * @property {string[]} suites
 * @property {string[]} components
 * @property {string} signedBy path or inline key block; '' when the entry names none
 */

/**
 * The entry of the distribution's main archive: never a third party's, a security or an updates one alone.
 * @param {string} aptFolder usually /etc/apt
 * @param {{ id: 'debian' | 'ubuntu', codename: string }} distribution
 * @returns {Promise<AptSource | undefined>}
 */
export async function mainArchive(aptFolder, { id, codename }) {
  const releases = id === 'debian' ? [codename, 'stable', 'testing', 'unstable', 'sid'] : [codename, 'devel'];
  const candidates = [];
  for (const source of await readAptSources(aptFolder)) {
    if (!source.components.includes('main')) continue;
    if (!source.suites.some((suite) => releases.includes(suite))) continue;
    // The keyring tells most surely whose archive it is; a mirror's path usually ends in its name.
    const byKey = source.signedBy.includes(`${id}-archive`) ? 2 : 0;
    const byPath = source.uris.some((uri) => new RegExp(`/${id}[a-z-]*/?$`).test(uri)) ? 1 : 0;
    if (byKey + byPath > 0) candidates.push({ source, score: byKey + byPath });
  }
  return candidates.sort((a, b) => b.score - a.score)[0]?.source;
}

/**
 * @param {string} aptFolder
 * @returns {Promise<AptSource[]>} enabled binary sources, in file order
 */
async function readAptSources(aptFolder) {
  const parts = join(aptFolder, 'sources.list.d');
  const files = (await readdir(parts).catch(() => [])).sort().map((name) => join(parts, name));
  const sources = [];
  for (const file of [join(aptFolder, 'sources.list'), ...files]) {
    if (!/\.(list|sources)$/.test(file)) continue;
    const text = await readFile(file, 'utf8').catch(() => '');
    sources.push(...(file.endsWith('.sources') ? parseDeb822(text) : parseOneLine(text)));
  }
  return sources;
}

/** @param {string} text */
function parseDeb822(text) {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  const sources = [];
  for (const stanza of lines.join('\n').split(/\n\s*\n/)) {
    /** @type {Map<string, string>} */
    const fields = new Map();
    let last = '';
    for (const line of stanza.split('\n')) {
      const [, name, value] = /^([A-Za-z-]+):\s*(.*)$/.exec(line) ?? [];
      if (name !== undefined && value !== undefined) {
        last = name.toLowerCase();
        fields.set(last, value.trim());
      } else if (/^\s/.test(line) && last !== '') fields.set(last, `${fields.get(last)}\n${line}`);
    }
    const words = (/** @type {string} */ name) => (fields.get(name) ?? '').split(/\s+/).filter(Boolean);
    if (!words('types').includes('deb') || /^(no|false|off|0)$/i.test(fields.get('enabled') ?? '')) continue;
    sources.push({
      uris: words('uris'),
      suites: words('suites'),
      components: words('components'),
      signedBy: fields.get('signed-by') ?? '',
    });
  }
  return sources;
}

/** @param {string} text */
function parseOneLine(text) {
  const sources = [];
  for (const line of text.split('\n')) {
    const [, options = '', uri, suite, components = ''] =
      /^\s*deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line) ?? [];
    if (uri === undefined || suite === undefined) continue;
    sources.push({
      uris: [uri],
      suites: [suite],
      components: components.split(/\s+/).filter(Boolean),
      signedBy: /signed-by=(\S+)/.exec(options)?.[1]?.replaceAll(',', ' ') ?? '',
    });
  }
  return sources;
}
