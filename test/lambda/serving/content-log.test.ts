import { expect, test } from 'vitest';
import { loadConfig } from '../../../lambda/contract/config.ts';
import { createServing } from '../../../lambda/serving/serve.ts';
import { LambdaStream, parseAnswer, withPrelude } from '../support/lambda-stream.ts';
import { deploy, gatewayEvent, HELLO, model, openAiBackend, servingConfig } from '../support/serving.ts';
import { answerText, chunk, DONE, sse, Upstream } from '../support/upstream.ts';

test('prompts and answers are logged when the owner asks for it, images by their size', async () => {
  const up = await Upstream.start(answerText('the answer'));
  const { chat, log } = deploy(servingConfig([model([openAiBackend(up.url)])], { logContent: true }));
  const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(5000)}` } };
  const messages = [{ role: 'user', content: [{ type: 'text', text: 'the question' }, image] }];
  await chat({ ...HELLO, messages });
  await chat({ ...HELLO, messages, stream: true });
  await up.stop();
  const content = log.filter((line) => line.message === 'content').map((line) => JSON.stringify(line));
  expect(content).toHaveLength(2);
  for (const line of content) {
    expect(line).toContain('the question');
    expect(line).toMatch(/the answer|"the ".*"answer"/);
    expect(line.length).toBeLessThan(2000);
  }
});

test('an event that is none of a chat completion is logged as it is, and costs no log line', async () => {
  // As long as an answer's: others are looked into on their way.
  const odd = `{"not":"json","padding":"${'x'.repeat(200)}"}x}`;
  const up = await Upstream.start((response) => {
    const choice = `{"choices":[null],"padding":"${'x'.repeat(200)}"}`;
    sse(response).end(
      `${chunk({ content: 'the answer' })}data: ${odd}\n\ndata: ${choice}\n\n${chunk({}, 'stop')}${DONE}`,
    );
  });
  const { chat, log, requestLog } = deploy(servingConfig([model([openAiBackend(up.url)])], { logContent: true }));
  await chat({ ...HELLO, stream: true });
  await up.stop();
  expect(requestLog()).toHaveLength(1);
  const [content] = log.filter((line) => line.message === 'content').map((line) => JSON.stringify(line));
  expect(content).toContain('the answer');
  expect(content).toContain(JSON.stringify(odd));
});

test.each([
  ['日本語', 80_000],
  ['"\\', 200_000],
])('a line stays below what CloudWatch takes, whatever is written: %s', async (text, times) => {
  const up = await Upstream.start(answerText(text.repeat(times)));
  const config = servingConfig([model([openAiBackend(up.url)])], {
    logContent: true,
    limits: { maxRequestBytes: 10_000_000 },
  });
  const { chat, lines } = deploy(config);
  const messages = [{ role: 'user', content: text.repeat(times) }];
  await chat({ ...HELLO, messages });
  await chat({ ...HELLO, messages, stream: true });
  await up.stop();
  const sizes = lines.map((line) => Buffer.byteLength(line));
  expect(sizes).toHaveLength(5);
  expect(Math.max(...sizes)).toBeGreaterThan(400_000);
  expect(Math.max(...sizes)).toBeLessThan(1_048_576);
});

test('a line that cannot be written takes no other with it, and fails no request', async () => {
  const up = await Upstream.start(answerText('the answer'));
  const lines: string[] = [];
  const config = servingConfig([model([openAiBackend(up.url)])], { logContent: true });
  const handler = createServing(loadConfig(JSON.stringify(config), {}), {
    log: (line) => {
      if (line.includes('"message":"content"')) throw new Error('no room');
      lines.push(line);
    },
    withPrelude,
  });
  const stream = new LambdaStream();
  const event = gatewayEvent('POST', '/v1/chat/completions', { body: JSON.stringify(HELLO) });
  await handler(event, stream, { getRemainingTimeInMillis: () => 60_000 });
  await up.stop();
  expect(parseAnswer(stream.raw).status).toBe(200);
  expect(lines.map((line) => JSON.parse(line).message)).toEqual(['chat completion', 'internal error']);
});
