import { afterEach, beforeEach, expect, test } from 'vitest';
import { deploy, HELLO, model, openAiBackend, servingConfig } from '../support/serving.ts';
import { type Answerer, answerText, ROLE, sleep, sse, Upstream } from '../support/upstream.ts';

const STREAMED = { ...HELLO, stream: true };
const answers = answerText('hello');
const resetsAfter =
  (ms: number): Answerer =>
  (_response, _request, { socket }) => {
    setTimeout(() => socket.resetAndDestroy(), ms);
  };

let up: Upstream;
beforeEach(async () => {
  up = await Upstream.start(answers);
});
afterEach(() => up.stop());

/** With a connection that the next request uses again. */
async function warm(firstTokenMs = 2000) {
  const deadlines = { connectMs: 500, firstTokenMs, betweenTokensMs: 2000 };
  const serving = deploy(servingConfig([model([openAiBackend(up.url, { deadlines })])]));
  await serving.chat(HELLO);
  up.requests.length = 0;
  serving.log.length = 0;
  return serving;
}

test('a request whose connection was dead already is sent again', async () => {
  const { chat } = await warm();
  up.answer = (...args) => {
    up.answer = answers;
    return resetsAfter(0)(...args);
  };
  expect((await chat(STREAMED)).status).toBe(200);
  expect(up.requests).toHaveLength(2);
});

test.each([HELLO, STREAMED])(
  'a reset after a second of work is no dead connection: the work is not ordered twice',
  async (body) => {
    const { chat } = await warm();
    up.answer = resetsAfter(1000);
    expect((await chat(body)).status).toBe(502);
    expect(up.requests).toHaveLength(1);
  },
);

test('a reset of a new connection is no dead connection', async () => {
  up.answer = resetsAfter(0);
  const { chat } = deploy(servingConfig([model([openAiBackend(up.url)])]));
  expect((await chat(HELLO)).status).toBe(502);
  expect(up.requests).toHaveLength(1);
});

test('a reset after the first bytes of an answer is no dead connection', async () => {
  const { chat } = await warm();
  up.answer = (_response, _request, { socket }) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-ty', () => setTimeout(() => socket.resetAndDestroy(), 20));
  };
  expect((await chat(HELLO)).status).toBe(502);
  expect(up.requests).toHaveLength(1);
});

// Again on a machine that was busy: with all its time anew it always takes 600.
test('a request that is sent again has what is left of its time, not all of it anew', { retry: 4 }, async () => {
  const { chat, requestLog } = await warm(400);
  up.answer = (...args) => {
    up.answer = () => {};
    return resetsAfter(200)(...args);
  };
  expect((await chat(STREAMED)).status).toBe(504);
  expect(up.requests).toHaveLength(2);
  expect(requestLog()[0]?.Duration).toBeLessThan(550);
});

test('the time to the first token counts from the request, not from the response', async () => {
  const { chat, requestLog } = await warm(1500);
  up.answer = async (response) => {
    await sleep(1000);
    sse(response).write(ROLE);
  };
  expect((await chat(STREAMED)).status).toBe(504);
  // From the response on it would be 2,500.
  expect(requestLog()[0]?.Duration).toBeLessThan(2300);
});

test('a whole answer that comes for a stream and stalls is held to the time for a first token', async () => {
  const { chat, requestLog, log } = await warm(400);
  up.answer = (response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"choices":');
  };
  expect((await chat(STREAMED)).status).toBe(504);
  expect(log[0]).toMatchObject({ kind: 'timeout' });
  // Held to the time between tokens it would be 2,000.
  expect(requestLog()[0]?.Duration).toBeLessThan(1700);
});
