import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, vi } from 'vitest';
import { DEFAULT_PACE, type Situation, situationVariables } from '../../../local/engine/situation.ts';

const MAIN = fileURLToPath(new URL('../../../local/engine/main.ts', import.meta.url));

const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

export interface RunningEngine {
  readonly url: string;
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  readonly output: () => string;
  chat(body?: object, init?: RequestInit): Promise<Response>;
  /** Value of a metric that is one line. */
  metric(name: string, metricsPath?: string): Promise<number>;
  /** Waits until the port is open. */
  ready(): Promise<void>;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

export async function startEngine(
  flags: readonly string[] = [],
  options: {
    readonly env?: Record<string, string>;
    readonly situation?: Partial<Situation>;
    /** Instead of vLLM's, for a model `test/model`. */
    readonly command?: readonly string[];
  } = {},
): Promise<RunningEngine> {
  const port = await freePort();
  const situation: Situation = {
    ports: { 8000: port, 30000: port, 80: port },
    loadMs: 0,
    model: { answerTokens: 20 },
    pace: { ...DEFAULT_PACE, baseMs: 4 },
    ...options.situation,
  };
  const child = spawn(process.execPath, [MAIN, ...(options.command ?? ['test/model']), ...flags], {
    env: { PATH: process.env.PATH, ...options.env, ...situationVariables(situation) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  children.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    child,
    exit: once(child, 'exit').then(([code]) => code as number | null),
    output: () => output,
    chat: (body = {}, init = {}) =>
      fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ model: 'test/model', messages: [{ role: 'user', content: 'Hello' }], ...body }),
        ...init,
      }),
    async metric(name, metricsPath = '/metrics') {
      const text = await (await fetch(url + metricsPath)).text();
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}{`));
      return Number(line?.split(' ').at(-1));
    },
    async ready() {
      await vi.waitFor(() => fetch(`${url}/health`), { timeout: 10_000, interval: 20 });
    },
  };
}
