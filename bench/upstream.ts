/**
 * A model server without a model: each request is answered with a stream of `CHUNKS` chat completion chunks, one every
 * `PACE_MS`, each written on its own as an engine does. A process of its own, so that its work is nobody else's.
 */
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const chunks = Number(process.env.CHUNKS ?? 64);
const paceMs = Number(process.env.PACE_MS ?? 1);
const id = 'chatcmpl-0123456789abcdef0123456789abcdef';

const event = (delta: object, finishReason: string | null, usage?: object): string =>
  `data: ${JSON.stringify({
    id,
    object: 'chat.completion.chunk',
    created: 1_780_000_000,
    model: 'bench-model',
    choices: usage ? [] : [{ index: 0, delta, logprobs: null, finish_reason: finishReason }],
    ...(usage ? { usage } : {}),
  })}\n\n`;

const events = [
  event({ role: 'assistant', content: '' }, null),
  ...Array.from({ length: chunks - 3 }, (_, i) => event({ content: ` token${i}` }, null)),
  event({}, 'stop'),
  event({}, null, { prompt_tokens: 120, completion_tokens: chunks - 3, total_tokens: 117 + chunks }),
];

const server = createServer(async (request, response) => {
  for await (const _ of request);
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  response.socket?.setNoDelay(true);
  for (const text of events) {
    response.write(text);
    if (paceMs > 0) await sleep(paceMs);
  }
  response.end('data: [DONE]\n\n');
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  process.send?.({ url: `http://127.0.0.1:${address.port}/v1` });
});
process.once('disconnect', () => process.exit());
