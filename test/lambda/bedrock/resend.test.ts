import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createBedrockBackend } from '../../../lambda/backends/bedrock/index.ts';
import { bedrockConfig, callOf, chat, errorOf } from './fixtures.ts';

type Answer = (response: ServerResponse, incoming: IncomingMessage) => void;

const ANSWER = JSON.stringify({
  output: { message: { role: 'assistant', content: [{ text: 'hello' }] } },
  stopReason: 'end_turn',
  usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
});
const answers: Answer = (response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(ANSWER);
};
const resetsAfter =
  (ms: number): Answer =>
  (_response, { socket }) => {
    setTimeout(() => socket.resetAndDestroy(), ms);
  };

let server: Server;
let answer: Answer = answers;
let requests = 0;

beforeAll(async () => {
  process.env.AWS_ACCESS_KEY_ID = 'test';
  process.env.AWS_SECRET_ACCESS_KEY = 'test';
  server = createServer((incoming, response) => {
    requests += 1;
    incoming.resume().once('end', () => answer(response, incoming));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  process.env.AWS_ENDPOINT_URL_BEDROCK_RUNTIME = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  delete process.env.AWS_ENDPOINT_URL_BEDROCK_RUNTIME;
  server.closeAllConnections();
  server.close();
});
beforeEach(async () => {
  answer = answers;
  // Leaves a connection behind that the next call uses again.
  await ask();
  requests = 0;
});

const ask = () => createBedrockBackend(bedrockConfig()).complete(callOf(chat()));

test('a request whose connection was dead already is sent again', async () => {
  answer = (response, incoming) => {
    answer = answers;
    resetsAfter(0)(response, incoming);
  };
  await ask();
  expect(requests).toBe(2);
});

test('a reset after a second of work is no dead connection: the work is not ordered twice', async () => {
  answer = resetsAfter(1000);
  expect(await errorOf(ask())).toMatchObject({ kind: 'connection' });
  expect(requests).toBe(1);
});

test('a reset after the first bytes of an answer is no dead connection', async () => {
  answer = (response, incoming) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': ANSWER.length });
    response.write(ANSWER.slice(0, 20), () => resetsAfter(20)(response, incoming));
  };
  expect(await errorOf(ask())).toMatchObject({ kind: 'connection' });
  expect(requests).toBe(1);
});

test('a reset of a new connection is no dead connection, although others lie idle', async () => {
  answer = (response) => setTimeout(() => answers(response, response.req), 100);
  const first = ask();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(requests).toBe(1);
  answer = resetsAfter(100);
  const second = errorOf(ask());
  await first;
  expect(await second).toMatchObject({ kind: 'connection' });
  expect(requests).toBe(2);
});
