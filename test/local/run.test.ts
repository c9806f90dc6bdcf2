import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Runtime } from 'aws-cdk-lib/aws-lambda';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createTextModel } from '../../local/model/index.ts';
import { type LocalOptions, type LocalRun, startLocal } from '../../local/run.ts';
import { synthesize, temporaryFolder } from './support/assembly.ts';

const model = await createTextModel();
const runs: LocalRun[] = [];
afterAll(() => Promise.all(runs.map((run) => run.close())));

async function start(options: Partial<LocalOptions> & { assembly: string }): Promise<LocalRun> {
  const run = await startLocal({ model, stateFolder: temporaryFolder(), ...options });
  runs.push(run);
  return run;
}

const withKey = (run: LocalRun): RequestInit => ({ headers: { authorization: `Bearer ${run.apiKey}` } });
const gone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

describe('an assembly', () => {
  let assembly: string;
  let run: LocalRun;
  const logs: string[] = [];
  beforeAll(async () => {
    assembly = synthesize();
    run = await start({ assembly, log: (label, line) => logs.push(`${label}: ${line}`) });
  });

  test('answers a request with its key, through authorizer, plan, alias and stream', async () => {
    const response = await fetch(`${run.url}/echo/x`, withKey(run));
    expect(response.status).toBe(200);
    const { event, environment } = (await response.json()) as Record<string, Record<string, unknown>>;
    expect(event).toMatchObject({ resource: '/v1/echo/{name}', pathParameters: { name: 'x' } });
    expect(environment).toMatchObject({ AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256', AWS_ACCESS_KEY_ID: 'local' });
    expect(run.apiKey).toMatch(/^[A-Za-z0-9]{40}$/);
    expect(run.keys).toEqual({ Team: run.apiKey });
    expect(logs.some((line) => line.startsWith('Handler: ') && line.includes('served /v1/echo/x'))).toBe(true);
  });

  test('refuses an unknown key with its own gateway response', async () => {
    const response = await fetch(`${run.url}/echo/x`, { headers: { authorization: `Bearer ${'u'.repeat(40)}` } });
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 401,
      body: { error: { message: 'Forbidden' } },
    });
  });

  test("answers a CORS preflight with the CDK's own template", async () => {
    const response = await fetch(`${run.url}/echo/x`, { method: 'OPTIONS', headers: { origin: 'https://b.example' } });
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-origin')).toBe('https://b.example');
  });

  test('validates bodies by its model', async () => {
    const post = (body: string) =>
      fetch(`${run.url}/echo/x`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    expect((await post('{}')).status).toBe(400);
    expect((await post('{"model":"m"}')).status).toBe(200);
  });

  test('says what is not stood in for, and which secrets have no value', () => {
    expect(run.gaps).toContainEqual({
      what: 'AWS::Kinesis::Stream',
      count: 1,
      meaning: 'nothing stands in for it: it is as if it were not there',
    });
    expect(run.missingSecrets).toEqual(['arn:aws:secretsmanager:us-east-1:000000000000:secret:provider/key']);
  });

  test("gives functions the template's generated secret and the user's imported one", async () => {
    const stateFolder = temporaryFolder();
    writeFileSync(join(stateFolder, 'secrets.json'), '{"provider/key":"sk-given"}');
    const withSecret = await start({ assembly, stateFolder });
    expect(withSecret.missingSecrets).toEqual([]);
    const response = await fetch(`${withSecret.url}/echo/x?do=secrets`, withKey(withSecret));
    const [generated, imported] = (await response.json()) as Array<{ SecretString: string }>;
    expect(generated?.SecretString).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(imported?.SecretString).toBe('sk-given');
  });

  test('has the same keys in each run of a state folder, and others elsewhere; the seed is for its owner only', async () => {
    const stateFolder = temporaryFolder();
    const first = await start({ assembly, stateFolder });
    const again = await start({ assembly, stateFolder });
    expect(again.apiKey).toBe(first.apiKey);
    expect(run.apiKey).not.toBe(first.apiKey);
    expect(statSync(join(stateFolder, 'seed')).mode & 0o777).toBe(0o600);
  });

  test('runs a function with many requests at once when it is asked to', async () => {
    const many = await start({ assembly, compute: { kind: 'managed-instances', concurrency: 4 } });
    const pid = async () => (await fetch(`${many.url}/echo/x?do=wait&ms=200`, withKey(many))).json();
    const pids = await Promise.all([pid(), pid(), pid(), pid()]);
    expect(new Set(pids).size).toBe(1);
  });

  test('throttles beyond its cap', async () => {
    const capped = await start({ assembly, maxConcurrency: 1 });
    const statuses = await Promise.all(
      [1, 2, 3].map(async () => (await fetch(`${capped.url}/models?do=wait&ms=500`)).status),
    );
    expect(statuses.sort()).toEqual([200, 500, 500]);
  });

  test('leaves no process and no port behind', async () => {
    const ended = await start({ assembly });
    await fetch(`${ended.url}/echo/x`, withKey(ended));
    const hanging = fetch(`${ended.url}/echo/x?do=wait&ms=60000`, withKey(ended));
    hanging.catch(() => {});
    await vi.waitFor(() => expect(ended.pids.length).toBeGreaterThan(1));
    const { pids } = ended;
    await ended.close();
    expect(pids.every(gone)).toBe(true);
    await expect(fetch(`${ended.url}/models`)).rejects.toThrow();
    await expect(hanging.then((response) => response.text())).rejects.toThrow();
  });

  test('on a taken port is refused, and nothing stays running', async () => {
    const port = Number(new URL(run.url).port);
    await expect(start({ assembly, port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});

test('a function with a capacity provider takes as many requests at once as the template says', async () => {
  const run = await start({ assembly: synthesize({ managedInstances: true }) });
  const environment = async () => {
    const response = await fetch(`${run.url}/echo/x`, withKey(run));
    return ((await response.json()) as { environment: Record<string, string> }).environment;
  };
  expect(await environment()).toMatchObject({ AWS_LAMBDA_MAX_CONCURRENCY: '3' });
  const single = await start({ assembly: synthesize({ managedInstances: true }), compute: { kind: 'lambda' } });
  const response = await fetch(`${single.url}/echo/x`, withKey(single));
  expect(((await response.json()) as { environment: object }).environment).not.toHaveProperty(
    'AWS_LAMBDA_MAX_CONCURRENCY',
  );
});

test('a function that cannot be run is refused at start, by name', async () => {
  const assembly = synthesize({ runtime: Runtime.PYTHON_3_13 });
  await expect(start({ assembly })).rejects.toThrow(/^Handler[0-9A-F]{8}: the local run can't run python3.13/);
});

test('a folder without an assembly is refused', async () => {
  const folder = temporaryFolder();
  await expect(start({ assembly: folder })).rejects.toThrow(`${folder} holds no cloud assembly`);
});
