import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';

/** Runs one Node program after another, in the project's folder and with its Node first in the path. */
export class Commands {
  readonly #root: string;
  readonly #running = new Set<ReturnType<typeof spawn>>();

  constructor(root: string) {
    this.#root = root;
  }

  /** What it writes is shown only when it fails. @throws Error with that */
  async node(what: string, script: string, args: readonly string[], env: Record<string, string> = {}): Promise<void> {
    const path = `${join(this.#root, 'node_modules/.bin')}${delimiter}${process.env.PATH ?? ''}`;
    const child = spawn(process.execPath, [join(this.#root, script), ...args], {
      cwd: this.#root,
      env: { ...process.env, PATH: path, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    }).finally(() => this.#running.delete(child));
    if (code !== 0) throw new Error(`${what} failed\n${Buffer.concat(output).toString('utf8').trimEnd()}`);
  }

  /** Ends those that still run. */
  stop(): void {
    for (const child of this.#running) child.kill('SIGTERM');
  }
}
