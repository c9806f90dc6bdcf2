import { readFile } from 'node:fs/promises';

const INTERVAL_MS = 250;

/** Linux: `/proc/<pid>/statm` counts in pages, and a page of the machines that Node runs on is 4 KiB. */
const PAGE_BYTES = 4096;

/**
 * Calls back when a process holds more memory than its function has: Lambda kills it then. Where there is no /proc
 * (macOS, Windows) only the heap's limit holds.
 */
export function watchMemory(pid: number | undefined, limitMb: number, onExceeded: () => void): () => void {
  if (pid === undefined || process.platform !== 'linux') return () => {};
  const timer = setInterval(async () => {
    const rss = await residentBytes(pid);
    if (rss !== undefined && rss > limitMb * 1024 * 1024) {
      clearInterval(timer);
      onExceeded();
    }
  }, INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Resident set of a process; `undefined` when it's gone or the platform doesn't say. */
export async function residentBytes(pid: number): Promise<number | undefined> {
  try {
    const pages = Number((await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')[1]);
    return Number.isFinite(pages) ? pages * PAGE_BYTES : undefined;
  } catch {
    return undefined;
  }
}
