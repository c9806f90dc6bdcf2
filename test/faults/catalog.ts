import { gzipSync } from 'node:zlib';
import {
  type Answerer,
  answerStatus,
  answerText,
  chunk,
  DONE,
  ROLE,
  sleep,
  sse,
  usageChunk,
} from '../lambda/support/upstream.ts';

export const FAULTY_TEXT = 'Once upon a time';

/** What the client is to see when the fault is in the only backend, or in the last one. */
export type Alone =
  /** The answer, as if nothing were wrong. */
  | 'answer'
  /** The answer of low quality: it is better than none. */
  | 'poor answer'
  | '400 BadRequestError'
  | '413 APIError'
  | '422 UnprocessableEntityError'
  | '429 RateLimitError'
  | '502 InternalServerError'
  | '503 InternalServerError'
  | '504 InternalServerError'
  /** What there was, then an error event and `[DONE]`: the SDK throws in mid-iteration. */
  | 'part, then APIError';

export interface Fault {
  readonly name: string;
  /** Why the cells say what they say. */
  readonly rule: string;
  readonly answer?: Answerer;
  /** Instead of a server's. */
  readonly baseUrl?: (port: number) => string;
  readonly overrides?: object;
  readonly stream: Alone;
  readonly whole: Alone;
}

export const rules = {
  next: 'no token yet: the next backend is asked',
  mid: 'resumed on another backend, or an error event; nothing of a whole answer has gone out: the next one is asked',
  client: "the client's fault: no other backend is asked",
  operator: "the operator's fault: the next backend is asked, `CredentialErrors` counts it",
  harmless: 'no fault as far as the client is concerned',
  full: 'the next backend is asked; this one is skipped for a moment',
  quality: 'the next backend is asked; without a better answer this one is handed out',
};

const raw =
  (bytes: string, destroy = false): Answerer =>
  (response) => {
    response.socket?.write(bytes);
    if (destroy) setTimeout(() => response.socket?.destroy(), 10);
  };
const words = FAULTY_TEXT.split(/(?<= )/).map((content) => chunk({ content }));
const HALF = ROLE + words.slice(0, 2).join('');
const WHOLE_BODY = JSON.stringify({
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: FAULTY_TEXT }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 },
});
const STREAM_BODY = ROLE + words.join('') + chunk({}, 'stop') + usageChunk(10, 4) + DONE;
const json = { 'content-type': 'application/json' };
/** One way for streams, another for whole answers. */
const either =
  (streamed: Answerer, whole: Answerer): Answerer =>
  (response, request, incoming) =>
    (request.body.stream === true ? streamed : whole)(response, request, incoming);
const body =
  (text: string, headers: Record<string, string> = json): Answerer =>
  (response) =>
    void response.writeHead(200, headers).end(text);
const pieces =
  (size: number, text = STREAM_BODY): Answerer =>
  async (response) => {
    const bytes = Buffer.from(text);
    sse(response);
    for (let at = 0; at < bytes.length; at += size) {
      response.write(bytes.subarray(at, at + size));
      await new Promise(setImmediate);
    }
    response.end();
  };
const status = (code: number, alone: Alone, rule: string, headers = {}): Fault => ({
  name: `${code}${Object.keys(headers).length > 0 ? ' with Retry-After' : ''}`,
  rule,
  answer: answerStatus(code, undefined, headers),
  stream: alone,
  whole: alone,
});
const before = (
  name: string,
  answer: Answerer,
  alone: Alone = '502 InternalServerError',
  rule = rules.next,
): Fault => ({
  name,
  rule,
  answer,
  stream: alone,
  whole: alone,
});
const mid = (name: string, answer: Answerer, whole: Alone = '502 InternalServerError'): Fault => ({
  name,
  rule: rules.mid,
  answer,
  stream: 'part, then APIError',
  whole,
});
const cutWhole: Answerer = (response) => {
  response.writeHead(200, { ...json, 'content-length': String(WHOLE_BODY.length) });
  response.write(WHOLE_BODY.slice(0, 60));
  setTimeout(() => response.destroy(), 10);
};
const cutAfter =
  (text: string | Buffer): Answerer =>
  async (response) => {
    sse(response).write(text);
    await sleep(10);
    response.destroy();
  };
const withUmlaut = Buffer.from(HALF + chunk({ content: 'é' }));
const cutInCharacter = withUmlaut.subarray(0, withUmlaut.indexOf(0xc3) + 1);

export const FAULTS: readonly Fault[] = [
  {
    name: 'connection refused',
    rule: rules.full,
    baseUrl: () => 'http://127.0.0.1:9/v1',
    stream: '502 InternalServerError',
    whole: '502 InternalServerError',
  },
  {
    name: 'DNS failure',
    rule: rules.next,
    baseUrl: () => 'http://nowhere.invalid/v1',
    stream: '502 InternalServerError',
    whole: '502 InternalServerError',
  },
  {
    name: 'TLS failure',
    rule: rules.next,
    baseUrl: (port) => `https://127.0.0.1:${port}/v1`,
    stream: '502 InternalServerError',
    whole: '502 InternalServerError',
  },
  before('reset before headers', (response) => void response.socket?.resetAndDestroy()),
  before(
    'reset after headers',
    either(
      (response) => {
        sse(response).flushHeaders();
        setTimeout(() => response.socket?.resetAndDestroy(), 10);
      },
      (response) => {
        response.writeHead(200, json).flushHeaders();
        setTimeout(() => response.socket?.resetAndDestroy(), 10);
      },
    ),
  ),
  before('hang before headers', () => {}, '504 InternalServerError'),
  before(
    'no first token',
    either(
      (response) => void sse(response).write(ROLE),
      () => {},
    ),
    '504 InternalServerError',
  ),
  mid(
    'stall in mid-stream',
    either(
      (response) => void sse(response).write(HALF),
      (response) => void response.writeHead(200, json).write(WHOLE_BODY.slice(0, 60)),
    ),
    '504 InternalServerError',
  ),
  mid('cut in mid-stream', either(cutAfter(HALF), cutWhole)),
  mid('cut inside a UTF-8 character', either(cutAfter(cutInCharacter), cutWhole)),
  mid(
    'garbage in the stream',
    either((response) => void sse(response).end(`${HALF}data: \u0000\u0001{]\n\n`), body('\u0000\u0001{]')),
  ),
  mid(
    'an error event in mid-stream',
    either(
      (response) => void sse(response).end(`${HALF}data: {"error":{"message":"died","code":500}}\n\n`),
      body('{"error":{"message":"died","code":500}}'),
    ),
  ),
  mid(
    'JSON that ends early',
    either(
      (response) => void sse(response).end(`${HALF}data: {"id":"x","cho\n\n${DONE}`),
      body(WHOLE_BODY.slice(0, -20)),
    ),
  ),
  mid(
    'an end without finish reason',
    either((response) => void sse(response).end(HALF), body('{"id":"c","choices":[]}')),
  ),
  before(
    'wrong content type',
    (response) => void response.writeHead(200, { 'content-type': 'text/plain' }).end('hello'),
  ),
  before(
    'HTML error page under 200',
    (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>oops</h1>'),
  ),
  before('200 with an error body', body('{"error":{"message":"no"}}')),
  before('no HTTP at all', raw('SSH-2.0-OpenSSH_9.6\r\n', true)),
  status(400, '400 BadRequestError', rules.client),
  status(401, '502 InternalServerError', rules.operator),
  status(403, '502 InternalServerError', rules.operator),
  status(404, '502 InternalServerError', rules.operator),
  status(408, '504 InternalServerError', rules.next),
  status(409, '502 InternalServerError', rules.next),
  status(413, '413 APIError', rules.client),
  status(422, '422 UnprocessableEntityError', rules.client),
  status(429, '429 RateLimitError', rules.next),
  status(429, '429 RateLimitError', rules.full, { 'retry-after': '30' }),
  status(500, '502 InternalServerError', rules.next),
  status(502, '502 InternalServerError', rules.next),
  status(503, '503 InternalServerError', rules.full),
  status(504, '504 InternalServerError', rules.next),
  status(529, '503 InternalServerError', rules.full),
  before(
    'an empty answer',
    either(
      (response) => void sse(response).end(ROLE + chunk({}, 'stop') + usageChunk(10, 0) + DONE),
      body(WHOLE_BODY.replace(FAULTY_TEXT, '')),
    ),
    'poor answer',
    rules.quality,
  ),
  before(
    'usage missing',
    either(
      (response) => void sse(response).end(ROLE + words.join('') + chunk({}, 'stop') + DONE),
      body(WHOLE_BODY.replace(/,"usage":\{.*?\}/, '')),
    ),
    'answer',
    rules.harmless,
  ),
  before(
    '[DONE] twice',
    either((response) => void sse(response).end(STREAM_BODY + DONE), body(WHOLE_BODY)),
    'answer',
    rules.harmless,
  ),
  before('chunks of 1 byte', either(pieces(1), body(WHOLE_BODY)), 'answer', rules.harmless),
  before(
    'an event of 1 MB',
    either(
      (response) =>
        void sse(response).end(
          ROLE +
            words.join('') +
            chunk({ reasoning: 'x'.repeat(1_000_000) }) +
            chunk({}, 'stop') +
            usageChunk(10, 4) +
            DONE,
        ),
      body(WHOLE_BODY.replace('"created"', `"padding":"${'x'.repeat(1_000_000)}","created"`)),
    ),
    'answer',
    rules.harmless,
  ),
  before(
    'gzip where none was asked',
    either(
      (response) =>
        void response
          .writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' })
          .end(gzipSync(STREAM_BODY)),
      (response) => void response.writeHead(200, { ...json, 'content-encoding': 'gzip' }).end(gzipSync(WHOLE_BODY)),
    ),
    'answer',
    rules.harmless,
  ),
  before(
    'a connection cut after the finish reason',
    either(cutAfter(ROLE + words.join('') + chunk({}, 'stop')), body(WHOLE_BODY)),
    'answer',
    rules.harmless,
  ),
];

export const HEALTHY_TEXT = 'Hello from the second';
export const healthy: Answerer = answerText(HEALTHY_TEXT);
