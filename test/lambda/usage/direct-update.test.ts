import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { DirectUpdates } from '../../../lambda/usage/direct-update.ts';
import { createClient } from '../../../lambda/usage/dynamodb-sdk.ts';

const TIMEOUT_MS = 1500;
const SECRET = 'wJalrXUtnFEMI';
const received: Array<{ headers: IncomingHttpHeaders; body: string }> = [];
let reply: (response: ServerResponse) => void;
let updates: DirectUpdates;

const json = (response: ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(body));
};
const well = (response: ServerResponse): void => json(response, 200, { Attributes: { n: { N: '1' } } });

const server = createServer(async (request: IncomingMessage, response) => {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  received.push({ headers: request.headers, body });
  reply(response);
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  Object.assign(process.env, {
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: SECRET,
    AWS_SESSION_TOKEN: 'session',
    AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  received.length = 0;
  reply = well;
  updates = new DirectUpdates(createClient(TIMEOUT_MS), TIMEOUT_MS);
});

const input = (pk: string) => ({ TableName: 'ledger', Key: { pk: { S: pk } }, UpdateExpression: 'ADD n :one' });
const send = (pk: string) => updates.send(input(pk));
/** The SDK's own calls say which attempt they are. */
const isLongWay = ({ headers }: (typeof received)[number]): boolean => headers['amz-sdk-request'] !== undefined;

/** Signature Version 4, worked out from what arrived. */
function signatureOf({ headers, body }: (typeof received)[number]): string {
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const [, scope = '', names = ''] =
    /Credential=[^/]+\/([^,]+), SignedHeaders=([^,]+)/.exec(headers.authorization ?? '') ?? [];
  const lines = names.split(';').map((name) => `${name}:${headers[name]}\n`);
  const canonical = `POST\n/\n\n${lines.join('')}\n${names}\n${hash(body)}`;
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${SECRET}`);
  return hmac(key, `AWS4-HMAC-SHA256\n${headers['x-amz-date']}\n${scope}\n${hash(canonical)}`).toString('hex');
}

test('all but the first go the short way, signed and otherwise like the first', async () => {
  expect(await send('a')).toMatchObject({ Attributes: { n: { N: '1' } } });
  expect(await send('b €')).toEqual({ Attributes: { n: { N: '1' } } });
  expect(received.map(isLongWay)).toEqual([true, false]);
  expect(received.map(({ body }) => JSON.parse(body))).toEqual([input('a'), input('b €')]);
  for (const each of received) {
    expect(each.headers.authorization).toContain(`Signature=${signatureOf(each)}`);
    expect(each.headers.authorization).toMatch(/\/eu-west-1\/dynamodb\/aws4_request, SignedHeaders=\S*x-amz-target/);
  }
  const alike = (index: number): object => {
    const {
      host,
      'user-agent': agent,
      'x-amz-target': target,
      'x-amz-security-token': token,
    } = received[index]?.headers ?? {};
    return { host, target, token, agent: agent?.split(' ')[0], type: received[index]?.headers['content-type'] };
  };
  expect(alike(1)).toEqual(alike(0));
  expect(alike(1)).toMatchObject({ target: 'DynamoDB_20120810.UpdateItem', token: 'session' });
});

test('a condition that does not hold is told with the item, and is no reason to go the long way', async () => {
  await send('a');
  const __type = 'com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException';
  reply = (response) => json(response, 400, { __type, Message: 'no', Item: { n: { N: '7' } } });
  const error = await send('b').catch((each: unknown) => each);
  expect(error).toBeInstanceOf(ConditionalCheckFailedException);
  expect(error).toMatchObject({ Item: { n: { N: '7' } }, message: 'no' });
  reply = well;
  await send('c');
  expect(received.map(isLongWay)).toEqual([true, false, false]);
});

test.each([
  ['ThrottlingException', 400, { __type: 'com.amazon.coral.availability#ThrottlingException', message: 'slowly' }],
  ['ExpiredTokenException', 400, { __type: 'com.amazon.coral.service#ExpiredTokenException', message: 'old' }],
  ['InternalServerError', 500, { __type: 'com.amazonaws.dynamodb.v20120810#InternalServerError' }],
])('%s goes by its name, and the next call the long way', async (name, status, body) => {
  await send('a');
  reply = (response) => json(response, status, body);
  await expect(send('b')).rejects.toMatchObject({ name });
  reply = well;
  await send('c');
  await send('d');
  expect(received.map(isLongWay)).toEqual([true, false, true, false]);
});

test.each<[string, (response: ServerResponse) => void]>([
  ['no answer comes', () => {}],
  ['an answer stops in its middle', (response) => void response.writeHead(200, { 'content-length': 99 }).write('{')],
  ['the connection breaks', (response) => void response.destroy()],
  [
    'the connection breaks in the middle',
    (response) => void response.writeHead(200).write('{', () => response.destroy()),
  ],
  ['it is no JSON', (response) => void response.writeHead(503).end('Service Unavailable')],
])('fails in time when %s', async (_, fault) => {
  await send('a');
  reply = fault;
  await expect(send('b')).rejects.toThrow(Error);
  reply = well;
  expect(await send('c')).toMatchObject({ Attributes: { n: { N: '1' } } });
});
