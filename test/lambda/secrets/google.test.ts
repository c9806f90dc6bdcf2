import { createVerify, generateKeyPairSync } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCredentials } from '../../../lambda/secrets/credentials.ts';
import { errorOf } from '../bedrock/fixtures.ts';
import { bodyOf } from './secrets-manager-server.ts';

const ARN = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:vertex-AbCdEf';
const MINUTE = 60_000;
const { privateKey, publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

let server: Server;
let tokenUri: string;
let now = 0;
let failure: { status: number; body: object } | undefined;
const assertions: string[] = [];
const exchanges: { url: string; authorization: string | undefined; body: string }[] = [];

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const text = await bodyOf(request);
    if (request.url !== '/token') {
      exchanges.push({ url: request.url ?? '', authorization: request.headers.authorization, body: text });
      const expireTime = new Date(Date.now() + 3_600_000).toISOString();
      const exchanged = { access_token: 'federated', expires_in: 3_599, token_type: 'Bearer' };
      const impersonated = { accessToken: 'impersonated', expireTime };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(request.url === '/sts' ? exchanged : impersonated));
      return;
    }
    const form = new URLSearchParams(text);
    assertions.push(form.get('assertion') ?? '');
    const good = form.get('grant_type') === 'urn:ietf:params:oauth:grant-type:jwt-bearer';
    const token = { access_token: `ya29.${assertions.length}`, expires_in: 3_599, token_type: 'Bearer' };
    const { status, body } = failure ?? { status: good ? 200 : 400, body: good ? token : { error: 'unsupported' } };
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  tokenUri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));
beforeEach(() => {
  now = 1_800_000_000_000;
  assertions.length = 0;
  failure = undefined;
});

const key = (overrides: object = {}) => ({
  type: 'service_account',
  client_email: 'llm@project.iam.gserviceaccount.com',
  private_key_id: 'kid-1',
  private_key: privateKey,
  token_uri: tokenUri,
  ...overrides,
});
const create = (secret: object | string, allowLoopback = true, jsonField?: string) =>
  createCredentials(
    { type: 'google', secretArn: ARN, ...(jsonField && { jsonField }) },
    {
      backend: 'vertex',
      readSecret: async () => (typeof secret === 'string' ? secret : JSON.stringify(secret)),
      now: () => now,
      allowLoopback,
    },
  );

describe("a service account's key", () => {
  test('is traded for an access token by a signed assertion', async () => {
    expect(await create(key()).headers()).toEqual({ authorization: 'Bearer ya29.1' });
    const [header = '', claims = '', signature = ''] = (assertions[0] ?? '').split('.');
    expect(createVerify('RSA-SHA256').update(`${header}.${claims}`).verify(publicKey, signature, 'base64url')).toBe(
      true,
    );
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({ alg: 'RS256', typ: 'JWT', kid: 'kid-1' });
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toEqual({
      iss: 'llm@project.iam.gserviceaccount.com',
      scope: 'https://www.googleapis.com/auth/cloud-platform',
      aud: tokenUri,
      iat: 1_800_000_000,
      exp: 1_800_003_600,
    });
  });

  test('may be an object in a field of the secret', async () => {
    expect(await create({ vertex: key() }, true, 'vertex').headers()).toEqual({ authorization: 'Bearer ya29.1' });
  });

  test('is traded once for many requests, and again before the token expires', async () => {
    const credentials = create(key());
    await Promise.all(Array.from({ length: 10 }, () => credentials.headers()));
    now += 58 * MINUTE;
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer ya29.1' });
    now += MINUTE;
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer ya29.2' });
  });

  test('is traded again when the token was refused', async () => {
    const credentials = create(key());
    await credentials.headers();
    now += MINUTE;
    credentials.invalidate();
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer ya29.2' });
  });

  test('keeps the old token for its last minute when Google does not answer', async () => {
    const credentials = create(key());
    await credentials.headers();
    failure = { status: 503, body: {} };
    now += 59 * MINUTE;
    expect(await credentials.headers()).toEqual({ authorization: 'Bearer ya29.1' });
    now += MINUTE;
    expect(await errorOf(credentials.headers())).toMatchObject({ kind: 'auth' });
  });

  test('that Google refuses is an error with its code', async () => {
    failure = { status: 400, body: { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' } };
    const error = await errorOf(create(key()).headers());
    expect(error.message).toBe(`secret ${ARN} was not accepted: Google answered 400 (invalid_grant)`);
  });
});

describe('a secret that is no such key is an error', () => {
  const other = { token_uri: 'https://oauth2.googleapis.com.evil.example/token' };
  test.each([
    { what: "has a token_uri that isn't Google's", secret: key(other) },
    { what: 'has a private_key that is no PEM', secret: key({ private_key: 'hidden' }) },
    { what: "has no field 'client_email'", secret: key({ client_email: undefined }) },
    { what: 'is neither', secret: key({ type: 'authorized_user' }) },
    { what: 'is not JSON', secret: 'hidden' },
  ])('when it $what', async ({ what, secret }) => {
    const error = await errorOf(create(secret).headers());
    expect(error).toMatchObject({ backend: 'vertex', kind: 'auth' });
    expect(error.message).toContain(what);
    expect(`${error.stack}${String(error.cause)}`).not.toContain('hidden');
    expect(assertions).toHaveLength(0);
  });

  test('when its token_uri is on this machine, unless a test says so', async () => {
    const error = await errorOf(create(key(), false).headers());
    expect(error.message).toContain("has a token_uri that isn't Google's");
  });
});

describe('a workload identity configuration', () => {
  test("trades the function's own AWS credentials for a token, without any key", async () => {
    process.env.AWS_ACCESS_KEY_ID = 'AKIDEXAMPLE';
    process.env.AWS_SECRET_ACCESS_KEY = 'hidden';
    process.env.AWS_REGION = 'eu-central-1';
    const secret = config({
      token_url: tokenUri.replace('/token', '/sts'),
      service_account_impersonation_url: tokenUri.replace('/token', '/impersonate'),
    });
    expect(await create(secret).headers()).toEqual({ authorization: 'Bearer impersonated' });
    expect(exchanges.map((exchange) => exchange.url)).toEqual(['/sts', '/impersonate']);
    const subject = new URLSearchParams(exchanges[0]?.body).get('subject_token') ?? '';
    expect(decodeURIComponent(subject)).toContain('sts.eu-central-1.amazonaws.com');
    expect(decodeURIComponent(subject)).toContain('AKIDEXAMPLE');
    expect(decodeURIComponent(subject)).not.toContain('hidden');
    expect(exchanges[1]?.authorization).toBe('Bearer federated');
  });

  const config = (overrides: object) => ({
    type: 'external_account',
    audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/aws',
    subject_token_type: 'urn:ietf:params:aws:token-type:aws4_request',
    token_url: 'https://sts.googleapis.com/v1/token',
    credential_source: { environment_id: 'aws1', regional_cred_verification_url: 'https://sts.{region}.amazonaws.com' },
    ...overrides,
  });

  test.each([
    { what: "credential_source that isn't AWS", secret: config({ credential_source: { file: '/etc/passwd' } }) },
    { what: "token_url that isn't Google's", secret: config({ token_url: 'https://evil.example/' }) },
    {
      what: "service_account_impersonation_url that isn't Google's",
      secret: config({ service_account_impersonation_url: 'https://sts.googleapis.com.evil.example/' }),
    },
  ])('is refused with a $what', async ({ what, secret }) => {
    expect((await errorOf(create(secret).headers())).message).toContain(what);
  });
});
