import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createBedrockBackend } from '../../../lambda/backends/bedrock/index.ts';
import type { BedrockConfig } from '../../../lambda/backends/bedrock/settings.ts';
import type { ChatMessage } from '../../../lambda/contract/openai.ts';
import {
  type BedrockRuntime,
  type Fault,
  type RuntimeRequest,
  startBedrockRuntime,
} from '../../../local/bedrock/index.ts';
import { createTextModel } from '../../../local/model/index.ts';
import { bedrockConfig, callOf, chat, collect, errorOf, PNG, streamed, weatherTool } from './fixtures.ts';

let runtime: BedrockRuntime;
let relay: Relay;
let fault: Fault | undefined;
const requests: RuntimeRequest[] = [];

beforeAll(async () => {
  process.env.AWS_ACCESS_KEY_ID = 'test';
  process.env.AWS_SECRET_ACCESS_KEY = 'test';
  const model = await createTextModel({ tokensPerSecond: 2_000, timeToFirstTokenMs: 1 });
  runtime = await startBedrockRuntime({ model, faults: () => fault, onRequest: (request) => requests.push(request) });
  relay = await startRelay(Number(new URL(runtime.url).port));
  process.env.AWS_ENDPOINT_URL_BEDROCK_RUNTIME = relay.url;
});
afterAll(async () => {
  delete process.env.AWS_ENDPOINT_URL_BEDROCK_RUNTIME;
  await relay.close();
  await runtime.close();
});
beforeEach(() => {
  fault = undefined;
  requests.length = 0;
});

const backend = (config: Partial<BedrockConfig> = {}) => createBedrockBackend(bedrockConfig(config));
const deadlines = (overrides: Partial<BedrockConfig['deadlines']>) => ({
  deadlines: { connectMs: 2_000, firstTokenMs: 5_000, betweenTokensMs: 5_000, ...overrides },
});

describe('against a Bedrock Runtime', () => {
  test('an answer streams, token by token, with its usage last', async () => {
    const { frames, content, finishReason } = await streamed(backend(), chat());
    expect(content).toContain('What is a lighthouse?');
    expect(frames.filter((frame) => frame.output).length).toBeGreaterThan(20);
    expect(finishReason).toBe('stop');
    expect(frames.at(-1)?.usageOnly).toBe(true);
    expect(frames.at(-1)?.usage?.outputTokens).toBe(frames.length - 3);
  });

  test('an answer comes whole, the same one', async () => {
    const { completion, usage } = await backend().complete(callOf(chat()));
    expect(completion.choices[0]?.message.content).toBe((await streamed(backend(), chat())).content);
    expect(usage?.outputTokens).toBeGreaterThan(20);
    expect(requests.map((request) => request.operation)).toEqual(['Converse', 'ConverseStream']);
  });

  test('the model id may be an ARN', async () => {
    const modelId = 'arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-haiku-4-5-v1:0';
    await streamed(backend({ modelId }), chat());
    expect(requests[0]?.modelId).toBe(modelId);
  });

  test('a tool is called and its result answered, streamed and whole', async () => {
    const request = chat({
      messages: [{ role: 'user', content: 'What is the weather in Paris today?' }],
      tools: [weatherTool],
    });
    const { completion } = await backend().complete(callOf(request));
    const message = completion.choices[0]?.message;
    expect(message?.tool_calls?.[0]?.function).toEqual({ name: 'get_weather', arguments: '{"city":"Paris"}' });
    const call = message?.tool_calls?.[0];
    const history = [
      ...request.messages,
      message as ChatMessage,
      { role: 'tool', tool_call_id: call?.id ?? '', content: 'sunny, 21 degrees' } as const,
    ];
    const second = await streamed(backend(), { ...request, messages: history });
    expect(second.content).toContain('sunny, 21 degrees');
    // Without the tools, Converse would refuse the history's blocks.
    expect((await streamed(backend(), { ...request, messages: history, tools: null })).finishReason).toBe('stop');
  });

  test.each(['tool', 'output-config'] as const)('a JSON schema is satisfied through %s', async (jsonSchema) => {
    const schema = {
      type: 'object',
      properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 18 } },
      required: ['name', 'age'],
    };
    const request = chat({ response_format: { type: 'json_schema', json_schema: { name: 'person', schema } } });
    const { content, finishReason } = await streamed(backend({ jsonSchema }), request);
    expect(JSON.parse(content)).toEqual({ name: expect.any(String), age: 18 });
    expect(finishReason).toBe('stop');
    const { completion } = await backend({ jsonSchema }).complete(callOf(request));
    expect(JSON.parse(completion.choices[0]?.message.content ?? '')).toEqual(JSON.parse(content));
  });

  test('reasoning streams before the answer and can be handed back', async () => {
    const config = { reasoning: 'anthropic-budget' } as const;
    const { deltas } = await streamed(backend(config), chat({ reasoning_effort: 'low' }));
    const reasoning = deltas.map((delta) => delta.reasoning_content ?? '').join('');
    expect(reasoning).toContain('Simulated reasoning');
    const block = deltas.find((delta) => delta.thinking_blocks)?.thinking_blocks;
    expect(block).toEqual([{ type: 'thinking', thinking: reasoning, signature: expect.any(String) }]);
  });

  test('an image reaches the model', async () => {
    const content = [
      { type: 'text' as const, text: 'What is this?' },
      { type: 'image_url' as const, image_url: { url: PNG } },
    ];
    const { content: answer } = await streamed(backend(), chat({ messages: [{ role: 'user', content }] }));
    expect(answer).toContain('image/png');
  });

  test('the token limit ends the answer', async () => {
    const { finishReason, frames } = await streamed(backend(), chat({ max_completion_tokens: 5 }));
    expect(finishReason).toBe('length');
    expect(frames.at(-1)?.usage?.outputTokens).toBe(5);
  });

  test('a repeated prompt is read from the cache', async () => {
    const messages: ChatMessage[] = [
      { role: 'system', content: 'A long instruction about many things. '.repeat(300) },
      { role: 'user', content: 'Hi' },
    ];
    const usage = async () =>
      (await backend({ promptCaching: true }).complete(callOf(chat({ messages })))).usage ?? expect.fail('no usage');
    const first = await usage();
    const second = await usage();
    expect(first.cacheWriteTokens).toBeGreaterThan(1_024);
    expect(second.cachedInputTokens).toBe(first.cacheWriteTokens);
    expect(second.inputTokens).toBe(first.inputTokens);
  });

  test('who asks and the request id go along', async () => {
    await streamed(backend(), chat());
    expect(requests[0]?.body.requestMetadata).toEqual({ requestId: 'req-1', consumer: 'acme' });
  });

  test('fifty answers stream at once', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => streamed(backend(), chat())));
    expect(new Set(answers.map((answer) => answer.content)).size).toBe(1);
    expect(new Set(answers.map((answer) => answer.chunks[0]?.id)).size).toBe(50);
  });
});

describe('an error before the stream', () => {
  test.each([
    ['ThrottlingException', 'throttled', 429],
    ['ModelNotReadyException', 'overloaded', 429],
    ['ServiceUnavailableException', 'overloaded', 503],
    ['InternalServerException', 'server', 500],
    ['ModelErrorException', 'server', 424],
    ['ModelTimeoutException', 'timeout', 408],
    ['AccessDeniedException', 'auth', 403],
    ['ResourceNotFoundException', 'not-found', 404],
    ['ValidationException', 'invalid-request', 400],
  ] as const)('%s is %s', async (name, kind, status) => {
    fault = { type: 'error', name, message: 'on purpose' };
    const expected = { backend: 'bedrock-claude', kind, status, message: 'on purpose' };
    expect(await errorOf(backend().stream(callOf(chat())))).toMatchObject(expected);
    expect(await errorOf(backend().complete(callOf(chat())))).toMatchObject(expected);
    // The request's path retries, not the SDK.
    expect(requests).toHaveLength(2);
  });

  test('says when to come back, if the service did', async () => {
    fault = { type: 'error', name: 'ThrottlingException', retryAfterSeconds: 7 };
    expect(await errorOf(backend().stream(callOf(chat())))).toMatchObject({ retryAfterMs: 7_000 });
  });

  test("that is the deployment's fault isn't put down to the client", async () => {
    expect(await errorOf(backend({ modelId: 'no such model' }).stream(callOf(chat())))).toMatchObject({
      kind: 'not-found',
    });
  });

  test('about a prompt that is too long has the code that clients know', async () => {
    fault = { type: 'error', name: 'ValidationException', message: 'Input is too long for requested model.' };
    expect(await errorOf(backend().stream(callOf(chat())))).toMatchObject({
      kind: 'invalid-request',
      code: 'context_length_exceeded',
      param: 'messages',
    });
  });

  test("that the service puts down to the client names the client's parameter", async () => {
    fault = {
      type: 'error',
      name: 'ValidationException',
      message: "This model doesn't support the toolConfig.toolChoice.any field.",
    };
    expect(await errorOf(backend().stream(callOf(chat())))).toMatchObject({
      kind: 'invalid-request',
      param: 'tool_choice',
    });
  });

  test('of translation names the parameter, and nothing is sent', async () => {
    const messages: ChatMessage[] = [{ role: 'tool', content: 'x' }];
    expect(await errorOf(backend().stream(callOf(chat({ messages }))))).toMatchObject({
      kind: 'invalid-request',
      param: 'messages[0].tool_call_id',
    });
    expect(requests).toHaveLength(0);
  });
});

describe('an error in mid-stream', () => {
  const broken = async (config: Partial<BedrockConfig> = {}) => {
    const { frames } = await backend(config).stream(callOf(chat()));
    return errorOf(collect(frames));
  };

  test.each([
    ['throttlingException', 'throttled'],
    ['modelStreamErrorException', 'server'],
    ['internalServerException', 'server'],
    ['serviceUnavailableException', 'overloaded'],
    ['validationException', 'invalid-request'],
  ] as const)('%s is %s, without the status of the stream', async (name, kind) => {
    fault = { type: 'exception', name, afterEvents: 3, message: 'on purpose' };
    expect(await broken()).toMatchObject({ kind, message: 'on purpose', status: undefined });
  });

  test('is a broken connection when it breaks', async () => {
    fault = { type: 'cut', afterEvents: 3 };
    expect(await broken()).toMatchObject({ kind: 'connection' });
  });

  test('is one of protocol when the stream ends too early', async () => {
    fault = { type: 'end', afterEvents: 3 };
    expect(await broken()).toMatchObject({ kind: 'protocol' });
  });

  test('is a time-out when no first token comes', async () => {
    fault = { type: 'stall', afterEvents: 1 };
    const error = await broken(deadlines({ firstTokenMs: 150 }));
    expect(error).toMatchObject({ kind: 'timeout', message: 'the first token did not come within 150 ms' });
  });

  test('is a time-out when the tokens stop coming', async () => {
    fault = { type: 'stall', afterEvents: 5 };
    const error = await broken(deadlines({ betweenTokensMs: 150 }));
    expect(error).toMatchObject({ kind: 'timeout', message: 'the next token did not come within 150 ms' });
  });

  test('is none because the consumer is slow', async () => {
    const { frames } = await backend(deadlines({ betweenTokensMs: 100 })).stream(
      callOf(chat({ max_completion_tokens: 3 })),
    );
    let count = 0;
    for await (const _ of frames) {
      count += 1;
      await sleep(150);
    }
    expect(count).toBe(6);
  });
});

describe('that a request is on its way', () => {
  test('is told once it is written to a connection, on new ones and on used ones', async () => {
    for (const _ of ['new', 'used']) {
      let sent = 0;
      const onSent = () => {
        sent += 1;
      };
      await backend().complete({ ...callOf(chat({ max_completion_tokens: 3 })), onSent });
      expect(sent).toBe(1);
    }
  });

  test("isn't told when nothing could be connected to", async () => {
    relay.pause();
    let sent = 0;
    const onSent = () => {
      sent += 1;
    };
    await errorOf(backend(deadlines({ connectMs: 1_998 })).complete({ ...callOf(chat()), onSent }));
    relay.resume();
    expect(sent).toBe(0);
  });
});

describe('before the first byte', () => {
  test('the first token deadline counts from the dispatch', async () => {
    fault = { type: 'stall', afterEvents: 0 };
    expect(await errorOf(backend(deadlines({ firstTokenMs: 150 })).stream(callOf(chat())))).toMatchObject({
      kind: 'timeout',
    });
  });

  test('a connection that nobody accepts is an error of connection', async () => {
    relay.pause();
    const error = await errorOf(backend(deadlines({ connectMs: 1_999 })).stream(callOf(chat())));
    relay.resume();
    expect(error).toMatchObject({ kind: 'connection' });
  });
});

describe('a connection', () => {
  const once = () => streamed(backend(deadlines({ connectMs: 1_500 })), chat({ max_completion_tokens: 3 }));

  test('is used again by the next answer', async () => {
    await once();
    const before = relay.accepted();
    await once();
    await backend(deadlines({ connectMs: 1_500 })).complete(callOf(chat({ max_completion_tokens: 3 })));
    expect(relay.accepted()).toBe(before);
  });

  test('that died while it was idle is replaced without the caller noticing', async () => {
    await once();
    const before = relay.accepted();
    relay.resetOnNextByte();
    expect((await once()).finishReason).toBe('length');
    expect(relay.accepted()).toBe(before + 1);
  });

  test('that was idle for long is not trusted: a frozen environment does not see it die', async () => {
    await once();
    const before = relay.accepted();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    await once();
    vi.useRealTimers();
    expect(relay.accepted()).toBe(before + 1);
  });

  test('is closed when the caller stops reading', async () => {
    fault = { type: 'stall', afterEvents: 4 };
    const { frames } = await backend().stream(callOf(chat()));
    const open = relay.open();
    for await (const frame of frames) if (frame.output) break;
    await until(() => relay.open() === open - 1);
  });

  test('is closed when the caller never reads', async () => {
    fault = { type: 'stall', afterEvents: 4 };
    const { frames } = await backend().stream(callOf(chat()));
    const open = relay.open();
    await frames[Symbol.asyncIterator]().return?.();
    await until(() => relay.open() === open - 1);
  });

  test('is closed when the call is aborted, and the error says so', async () => {
    fault = { type: 'stall', afterEvents: 4 };
    const abort = new AbortController();
    const { frames } = await backend().stream(callOf(chat(), abort.signal));
    const open = relay.open();
    setTimeout(() => abort.abort(), 50);
    expect(await errorOf(collect(frames))).toMatchObject({ kind: 'aborted' });
    await until(() => relay.open() === open - 1);
  });

  test('leaves no timer behind, however the call ended', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    await once();
    const before = timers();
    await once();
    await backend().complete(callOf(chat({ max_completion_tokens: 3 })));
    fault = { type: 'error', name: 'ThrottlingException' };
    await errorOf(backend().stream(callOf(chat())));
    fault = { type: 'stall', afterEvents: 4 };
    const { frames } = await backend().stream(callOf(chat()));
    await frames[Symbol.asyncIterator]().return?.();
    await until(() => timers() <= before);
  });

  test('is not even made for a call that was aborted before', async () => {
    expect(await errorOf(backend().stream(callOf(chat(), AbortSignal.abort())))).toMatchObject({ kind: 'aborted' });
    expect(await errorOf(backend().complete(callOf(chat(), AbortSignal.abort())))).toMatchObject({ kind: 'aborted' });
    expect(requests).toHaveLength(0);
  });
});

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 100 && !condition(); i += 1) await sleep(10);
  expect(condition()).toBe(true);
}

interface Relay {
  readonly url: string;
  /** Connections so far. */
  accepted(): number;
  /** Connections now. */
  open(): number;
  /** The next byte on a connection that exists now is answered by a reset, as a dead connection's is. */
  resetOnNextByte(): void;
  pause(): void;
  resume(): void;
  close(): Promise<void>;
}

/** A TCP relay in front of the runtime, to count connections and to kill them. */
async function startRelay(target: number): Promise<Relay> {
  const { connect } = await import('node:net');
  const sockets = new Set<Socket>();
  const doomed = new WeakSet<Socket>();
  let accepted = 0;
  let paused = false;
  const server: Server = createServer((socket) => {
    if (paused) {
      socket.resetAndDestroy();
      return;
    }
    accepted += 1;
    sockets.add(socket);
    const upstream = connect(target, '127.0.0.1');
    socket.on('data', (data) => {
      if (doomed.has(socket)) socket.resetAndDestroy();
      else upstream.write(data);
    });
    upstream.on('data', (data) => socket.write(data));
    socket.on('error', () => {});
    upstream.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      upstream.destroy();
    });
    upstream.on('close', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    accepted: () => accepted,
    open: () => sockets.size,
    resetOnNextByte: () => {
      for (const socket of sockets) doomed.add(socket);
    },
    pause: () => {
      paused = true;
    },
    resume: () => {
      paused = false;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
