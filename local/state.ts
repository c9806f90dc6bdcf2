import { createHash, hkdfSync, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Random bytes that a folder keeps: what generated values (API keys, secrets) are made from, so that they are the same
 * in every run on this machine and nowhere else.
 */
export function readSeed(folder: string): Buffer {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'seed');
  try {
    // Two runs may start at once: only one of them writes, both read.
    writeFileSync(file, randomBytes(32).toString('hex'), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  const seed = Buffer.from(readFileSync(file, 'utf8').trim(), 'hex');
  if (seed.length < 16) throw new Error(`${file} is damaged: remove it, and generated keys will be new ones`);
  return seed;
}

/** Bytes for one purpose. */
export function derive(seed: Buffer, purpose: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', seed, '', createHash('sha256').update(purpose).digest(), length));
}

const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** A character for each byte that doesn't favor some of them: fewer characters than bytes. */
export function alphanumeric(bytes: Buffer): string {
  const most = 256 - (256 % ALPHANUMERIC.length);
  return [...bytes]
    .filter((byte) => byte < most)
    .map((byte) => ALPHANUMERIC[byte % ALPHANUMERIC.length])
    .join('');
}

/** API Gateway generates keys of 40 alphanumeric characters. */
export function apiKeyValue(seed: Buffer, keyId: string): string {
  return alphanumeric(derive(seed, `api-key/${keyId}`, 80)).slice(0, 40);
}
