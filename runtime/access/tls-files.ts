/** The realm's authority and its server's certificate as files of the data folder, `tls/`, mode 0600. */
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { writePrivateFile } from '#runtime/bus/file';
import { type Certified, certifyServer, makeAuthority } from './certificate.ts';

const LOCAL = ['127.0.0.1', '::1', 'localhost'];

/** Where the certificate of the authority lies: what clients need to know the server. */
export function caFile(dataDir: string): string {
  return join(dataDir, 'tls', 'ca.pem');
}

/** The authority of the realm, made where there is none. Its key never leaves the folder. */
export function ensureAuthority(dataDir: string, realm: string, now: number): Certified {
  const [certFile, keyFile] = [caFile(dataDir), join(dataDir, 'tls', 'ca.key')];
  if (existsSync(certFile) && existsSync(keyFile)) {
    return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  }
  const made = makeAuthority(realm, now);
  writePrivateFile(keyFile, made.key);
  writePrivateFile(certFile, made.cert);
  return made;
}

/** A fresh certificate of the server, for this machine's names and `hosts`: none is ever old. */
export function freshServerFiles(
  dataDir: string,
  realm: string,
  hosts: readonly string[],
  now: number,
): { readonly certFile: string; readonly keyFile: string; readonly ca: string } {
  const authority = ensureAuthority(dataDir, realm, now);
  const names = [...new Set([...LOCAL, hostname(), ...hosts])];
  const { cert, key } = certifyServer(authority, realm, names, now);
  const [certFile, keyFile] = [join(dataDir, 'tls', 'server.pem'), join(dataDir, 'tls', 'server.key')];
  writePrivateFile(keyFile, key);
  writePrivateFile(certFile, cert);
  return { certFile, keyFile, ca: authority.cert };
}
