import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCredentials } from '../../../lambda/secrets/credentials.ts';
import { errorOf } from '../bedrock/fixtures.ts';
import { type SecretsManagerServer, startSecretsManager } from './secrets-manager-server.ts';

const ARN = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:openai-AbCdEf';
const MINUTE = 60_000;

let server: SecretsManagerServer;
let now = 0;

beforeAll(async () => {
  server = await startSecretsManager();
  process.env.AWS_ACCESS_KEY_ID = 'test';
  process.env.AWS_SECRET_ACCESS_KEY = 'test';
  process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER = server.url;
});
afterAll(async () => {
  delete process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER;
  await server.close();
});
beforeEach(() => {
  now = 1_800_000_000_000;
  server.secrets.clear();
  server.secrets.set(ARN, 'sk-first');
  server.reads.length = 0;
  server.failure = undefined;
  server.gate = undefined;
});

const create = (auth: { jsonField?: string; header?: string } = {}) =>
  createCredentials({ type: 'secret', secretArn: ARN, ...auth }, { backend: 'openai', now: () => now });

describe('the header', () => {
  test('is a bearer token', async () => {
    expect(await create().headers()).toEqual({ authorization: 'Bearer sk-first' });
  });

  test('is the named one with the bare secret', async () => {
    expect(await create({ header: 'X-Api-Key' }).headers()).toEqual({ 'x-api-key': 'sk-first' });
  });

  test("is made from a field of the secret's JSON", async () => {
    server.secrets.set(ARN, '{"key":"sk-field","other":"x"}');
    expect(await create({ jsonField: 'key' }).headers()).toEqual({ authorization: 'Bearer sk-field' });
  });

  test('has no line end that stands in the secret', async () => {
    server.secrets.set(ARN, 'sk-first\n');
    expect(await create().headers()).toEqual({ authorization: 'Bearer sk-first' });
  });

  test('is none without authentication', async () => {
    expect(await createCredentials({ type: 'none' }, { backend: 'vllm' }).headers()).toEqual({});
    expect(server.reads).toEqual([]);
  });
});

describe('a secret', () => {
  test('is read once by many requests at once, and again after five minutes', async () => {
    const credentials = create();
    await Promise.all(Array.from({ length: 20 }, () => credentials.headers()));
    now += 5 * MINUTE - 1;
    await credentials.headers();
    expect(server.reads).toEqual([ARN]);
    server.secrets.set(ARN, 'sk-second');
    now += 1;
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer sk-second' });
    expect(server.reads).toHaveLength(2);
  });

  test('goes on being used while Secrets Manager is down, which is asked twice a minute', async () => {
    const credentials = create();
    await credentials.headers();
    server.failure = { status: 500, type: 'InternalServiceError' };
    now += 6 * MINUTE;
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer sk-first' });
    const reads = server.reads.length;
    now += 29_000;
    await credentials.headers();
    expect(server.reads).toHaveLength(reads);
    now += 2_000;
    await credentials.headers();
    expect(server.reads.length).toBeGreaterThan(reads);
    now += 60 * MINUTE;
    expect(await errorOf(credentials.headers())).toMatchObject({ kind: 'auth' });
  }, 30_000);

  test('does not go on being used when it is gone', async () => {
    const credentials = create();
    await credentials.headers();
    server.secrets.clear();
    now += 6 * MINUTE;
    expect(await errorOf(credentials.headers())).toMatchObject({ kind: 'auth' });
  });

  test('that was refused is read again, but not over and over', async () => {
    const credentials = create();
    await credentials.headers();
    credentials.invalidate();
    await credentials.headers();
    expect(server.reads).toHaveLength(1);
    server.secrets.set(ARN, 'sk-second');
    now += 31_000;
    credentials.invalidate();
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer sk-second' });
    credentials.invalidate();
    await credentials.headers();
    expect(server.reads).toHaveLength(2);
  });

  test('that could not be read is asked for again by the next request', async () => {
    const credentials = create();
    server.secrets.clear();
    await errorOf(credentials.headers());
    server.secrets.set(ARN, 'sk-late');
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer sk-late' });
  });

  test('is not lost to the others when one request is aborted', async () => {
    const credentials = create();
    let open = (): void => {};
    server.gate = new Promise((resolve) => {
      open = resolve;
    });
    const abort = new AbortController();
    const aborted = errorOf(credentials.headers(abort.signal));
    const patient = credentials.headers();
    abort.abort();
    expect(await aborted).toMatchObject({ kind: 'aborted' });
    open();
    expect(await patient).toEqual({ authorization: 'Bearer sk-first' });
    expect(server.reads).toHaveLength(1);
  });
});

describe('an error names the secret, never its value', () => {
  test.each([
    { what: 'not there', secret: undefined, says: 'ResourceNotFoundException' },
    { what: 'empty', secret: '{"key":" "}', says: "has an empty field 'key'" },
    { what: 'not JSON', secret: 'sk-hidden', says: 'is not JSON' },
    { what: 'without the field', secret: '{"hidden":"sk-hidden"}', says: "no field 'key'" },
    { what: 'not a string', secret: '{"key":42,"hidden":"sk-hidden"}', says: "no field 'key'" },
    { what: 'not fit for a header', secret: '{"key":"sk-hidden\\nx: y"}', says: 'could not be used' },
  ])('when it is $what', async ({ secret, says }) => {
    if (secret === undefined) server.secrets.clear();
    else server.secrets.set(ARN, secret);
    const error = await errorOf(create({ jsonField: 'key' }).headers());
    expect(error).toMatchObject({ backend: 'openai', kind: 'auth' });
    expect(error.message).toContain(ARN);
    expect(error.message).toMatch(says);
    expect(`${error.stack}${String(error.cause)}`).not.toContain('hidden');
  });
});
