import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

/** Tells before anything is built, installed or loaded. @throws when there is no such file, or it is no GGUF */
export function requireGguf(file: string): void {
  const path = resolve(file);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new Error(`there is no file ${path}`);
  const magic = Buffer.alloc(4);
  if (stats.isFile()) {
    const handle = openSync(path, 'r');
    readSync(handle, magic);
    closeSync(handle);
  }
  if (magic.toString('latin1') !== 'GGUF') throw new Error(`${path} is no GGUF file: it doesn't begin with "GGUF"`);
}
