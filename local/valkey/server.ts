import { type ChildProcess, fork, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'iovalkey';

export interface ValkeyServer {
  readonly port: number;
  /** `redis://127.0.0.1:<port>` */
  readonly url: string;
  /** The program, or `js-redis-server` where the machine has none. */
  readonly program: string;
  readonly pid: number | undefined;
  close(): Promise<void>;
}

export interface ValkeyServerOptions {
  /** @default - any free one */
  readonly port?: number;
  /** Path of a `valkey-server` or `redis-server`. @default - found on the path */
  readonly program?: string | undefined;
}

const PROGRAMS = ['valkey-server', 'redis-server'];
const START_MS = 10_000;
const JS_SERVER = fileURLToPath(new URL('./js-server.ts', import.meta.url));

/** A Valkey on this machine: a real one where there is one, else an implementation in JavaScript. Nothing is kept on disk. */
export async function startValkeyServer(options: ValkeyServerOptions = {}): Promise<ValkeyServer> {
  const program = options.program ?? process.env.VALKEY_SERVER ?? findProgram(process.env.PATH ?? '');
  const port = options.port ?? (await freePort());
  const child =
    program === undefined
      ? fork(JS_SERVER, [String(port)], { stdio: 'ignore' })
      : spawn(program, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], {
          stdio: 'ignore',
        });
  const name = program ?? 'js-redis-server';
  await answers(port, child, name);
  return { port, url: `redis://127.0.0.1:${port}`, program: name, pid: child.pid, close: () => end(child) };
}

/** The first of the programs that the path leads to. */
export function findProgram(path: string): string | undefined {
  const candidates = PROGRAMS.flatMap((name) => path.split(delimiter).map((folder) => join(folder, name)));
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function answers(port: number, child: ChildProcess, program: string): Promise<void> {
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  child.once('exit', (code) => {
    failure ??= new Error(`it ended with code ${code}`);
  });
  const until = Date.now() + START_MS;
  while (Date.now() < until && failure === undefined) {
    const client = new Redis({ port, host: '127.0.0.1', lazyConnect: true, retryStrategy: () => null });
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.ping();
      return;
    } catch {
      await sleep(20);
    } finally {
      client.disconnect();
    }
  }
  child.kill('SIGKILL');
  throw new Error(`${program} doesn't answer on port ${port}: ${failure?.message ?? 'too slow'}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}
