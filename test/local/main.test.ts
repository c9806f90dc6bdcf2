import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { synthesize, temporaryFolder } from './support/assembly.ts';

const MAIN = fileURLToPath(new URL('../../local/main.ts', import.meta.url));

interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exit: Promise<number | null>;
}

const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

function main(args: readonly string[]): Started {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const exit = once(child, 'close').then(([code]) => code as number | null);
  return { child, output: () => output, exit };
}

const ready = (started: Started) =>
  vi.waitFor(() => expect(started.output()).toContain('Ready: '), { timeout: 15_000, interval: 50 });

/** Ids of the processes that a process started. */
function childrenOf(pid: number | undefined): number[] {
  try {
    return execFileSync('pgrep', ['-P', String(pid)])
      .toString()
      .trim()
      .split('\n')
      .map(Number);
  } catch {
    return [];
  }
}

/** A zombie is none: it has ended, and whoever inherited it hasn't noticed yet. */
const alive = (pid: number): boolean => {
  try {
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)])
      .toString()
      .startsWith('Z');
  } catch {
    return false;
  }
};

describe('a run from the command line', () => {
  let assembly: string;
  beforeAll(() => {
    assembly = synthesize();
  });
  const arguments_ = (state: string, ...rest: string[]) => [
    '--assembly',
    assembly,
    '--port',
    '0',
    '--state',
    state,
    ...rest,
  ];

  test('prints what works as pasted, and writes the endpoint for programs', async () => {
    const state = temporaryFolder();
    const file = join(state, 'endpoint.json');
    const started = main(arguments_(state));
    await ready(started);
    const endpoint = JSON.parse(readFileSync(file, 'utf8')) as { url: string; apiKey: string };
    expect(Object.keys(endpoint)).toEqual(['url', 'apiKey']);
    expect(endpoint.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const response = await fetch(`${endpoint.url}/echo/x`, { headers: { authorization: `Bearer ${endpoint.apiKey}` } });
    expect(response.status).toBe(200);
    const output = started.output();
    expect(output).toContain(`curl ${endpoint.url}/chat/completions`);
    expect(output).toContain(`new OpenAI({ baseURL: '${endpoint.url}', apiKey: '${endpoint.apiKey}' })`);
    expect(output).toContain('simulated');
    expect(output).toContain('AWS::Kinesis::Stream (1): nothing stands in for it');
    expect(output).toContain('arn:aws:secretsmanager:us-east-1:000000000000:secret:provider/key');
    await vi.waitFor(() => expect(started.output()).toContain('Handler'));
    started.child.kill('SIGINT');
    expect(await started.exit).toBe(130);
    expect(existsSync(file)).toBe(false);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const)('%s leaves no process behind', async (signal) => {
    const started = main(arguments_(temporaryFolder()));
    await ready(started);
    const processes = childrenOf(started.child.pid);
    expect(processes.length).toBeGreaterThan(0);
    started.child.kill(signal);
    await started.exit;
    await vi.waitFor(() => expect(processes.filter(alive)).toEqual([]));
  });

  test('a second Ctrl-C ends it at once, and its processes with it', async () => {
    const started = main(arguments_(temporaryFolder()));
    await ready(started);
    const processes = childrenOf(started.child.pid);
    started.child.kill('SIGINT');
    started.child.kill('SIGINT');
    expect(await started.exit).toBe(130);
    await vi.waitFor(() => expect(processes.filter(alive)).toEqual([]));
  });

  test('an endpoint that another run wrote since is not removed', async () => {
    const state = temporaryFolder();
    const file = join(state, 'endpoint.json');
    const started = main(arguments_(state, '--quiet'));
    await ready(started);
    writeFileSync(file, '{}');
    started.child.kill('SIGTERM');
    expect(await started.exit).toBe(143);
    expect(readFileSync(file, 'utf8')).toBe('{}');
  });

  test('a taken port is a clear error', async () => {
    const server: Server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const started = main(['--assembly', assembly, '--port', String(port), '--state', temporaryFolder()]);
    expect(await started.exit).toBe(1);
    expect(started.output().trim()).toBe(
      `port ${port} is taken: end what listens there, or choose another one with --port N`,
    );
    server.close();
  });
});

test('an unknown option is an error with the usage', async () => {
  const started = main(['--prot', '4000']);
  expect(await started.exit).toBe(2);
  expect(started.output()).toMatch(/--prot[\s\S]*usage: npm start/);
});

test('--help prints the usage', async () => {
  const started = main(['--help']);
  expect(await started.exit).toBe(0);
  expect(started.output()).toContain('usage: npm start');
});

test('an app that fails is shown with what it said', async () => {
  const started = main([
    '--app',
    'node -e "throw new Error(`no such preset`)"',
    '--port',
    '0',
    '--state',
    temporaryFolder(),
  ]);
  expect(await started.exit).toBe(1);
  expect(started.output()).toContain('cdk synth failed');
  expect(started.output()).toContain('no such preset');
}, 120_000);
