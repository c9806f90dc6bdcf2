import {
  BedrockRuntimeClient,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  type ConverseStreamOutput,
} from '@aws-sdk/client-bedrock-runtime';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type BedrockRuntime,
  type Fault,
  type RuntimeRequest,
  startBedrockRuntime,
} from '../../../local/bedrock/index.ts';
import { createTextModel } from '../../../local/model/index.ts';

let runtime: BedrockRuntime;
let fault: Fault | undefined;
const requests: RuntimeRequest[] = [];
const clients: Record<string, BedrockRuntimeClient> = {};

beforeAll(async () => {
  const model = await createTextModel({ tokensPerSecond: 2_000, timeToFirstTokenMs: 1 });
  runtime = await startBedrockRuntime({ model, faults: () => fault, onRequest: (request) => requests.push(request) });
  vi.stubEnv('AWS_ENDPOINT_URL_BEDROCK_RUNTIME', runtime.url);
  const options = { region: 'us-east-1', maxAttempts: 1, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
  // The SDK as it comes speaks HTTP/2; other SDKs, and the handler, HTTP/1.1.
  clients['2.0'] = new BedrockRuntimeClient(options);
  clients['1.1'] = new BedrockRuntimeClient({ ...options, requestHandler: new NodeHttpHandler() });
});
afterAll(async () => {
  for (const client of Object.values(clients)) client.destroy();
  vi.unstubAllEnvs();
  await runtime.close();
});
beforeEach(() => {
  fault = undefined;
  requests.length = 0;
});

const user = (...content: object[]) => ({ role: 'user', content }) as NonNullable<ConverseCommandInput['messages']>[0];
const assistant = (...content: object[]) => ({ ...user(...content), role: 'assistant' as const });
const input = (overrides: Partial<ConverseCommandInput> = {}): ConverseCommandInput => ({
  modelId: 'amazon.nova-lite-v1:0',
  messages: [user({ text: 'Tell me about tides' })],
  ...overrides,
});
const client = (version = '2.0'): BedrockRuntimeClient => clients[version] ?? expect.fail('no client');
const converse = (overrides: Partial<ConverseCommandInput> = {}) =>
  client().send(new ConverseCommand(input(overrides)));
async function stream(overrides: Partial<ConverseCommandInput> = {}, version = '2.0'): Promise<ConverseStreamOutput[]> {
  const { stream: events } = await client(version).send(new ConverseStreamCommand(input(overrides)));
  const all: ConverseStreamOutput[] = [];
  for await (const event of events ?? []) all.push(event);
  return all;
}
const kinds = (events: ConverseStreamOutput[]) => events.map((event) => Object.keys(event)[0]);

describe.each(['2.0', '1.1'])('the untouched SDK over HTTP/%s', (version) => {
  test("gets an event stream in the service's order", async () => {
    const events = await stream({}, version);
    expect(requests[0]?.httpVersion).toBe(version);
    const order = kinds(events);
    expect(order[0]).toBe('messageStart');
    expect(order.slice(-3)).toEqual(['contentBlockStop', 'messageStop', 'metadata']);
    expect(new Set(order.slice(1, -3))).toEqual(new Set(['contentBlockDelta']));
  });

  test('gets a whole answer with usage and metrics', async () => {
    const answer = await client(version).send(new ConverseCommand(input()));
    expect(answer.output?.message?.content?.[0]?.text).toContain('Tell me about tides');
    expect(answer.stopReason).toBe('end_turn');
    expect(answer.usage?.totalTokens).toBe((answer.usage?.inputTokens ?? 0) + (answer.usage?.outputTokens ?? 0));
    expect(answer.$metadata.requestId).toBeTruthy();
  });

  test.each([
    'throttlingException',
    'modelStreamErrorException',
    'internalServerException',
    'serviceUnavailableException',
    'validationException',
  ] as const)('gets %s in mid-stream', async (name) => {
    fault = { type: 'exception', name, afterEvents: 2, message: 'on purpose' };
    await expect(stream({}, version)).rejects.toMatchObject({
      name: expect.stringMatching(new RegExp(`^${name}$`, 'i')),
      message: 'on purpose',
    });
  });

  test('never sees the end of an answer whose connection was cut', async () => {
    fault = { type: 'cut', afterEvents: 2 };
    // Over HTTP/2 the SDK ends the stream as if all were well; over HTTP/1.1 it throws.
    const events = await stream({}, version).catch(() => 'thrown');
    if (version === '1.1') expect(events).toBe('thrown');
    else expect(kinds(events as ConverseStreamOutput[])).toEqual(['messageStart', 'contentBlockDelta']);
  });

  test('gets an error instead of an answer', async () => {
    fault = { type: 'error', name: 'ThrottlingException', message: 'slow down', retryAfterSeconds: 3 };
    await expect(client(version).send(new ConverseCommand(input()))).rejects.toMatchObject({
      name: 'ThrottlingException',
      message: 'slow down',
      $metadata: { httpStatusCode: 429 },
    });
  });
});

test('an ARN with slashes is a model id', async () => {
  const modelId = 'arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123';
  await converse({ modelId });
  expect(requests[0]?.modelId).toBe(modelId);
});

test('a tool is used in a stream, and its input comes in fragments', async () => {
  const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
  const events = await stream({
    messages: [user({ text: 'What is the weather in Rome now?' })],
    toolConfig: { tools: [{ toolSpec: { name: 'get_weather', inputSchema: { json: schema } } }] },
  });
  const start = events.find((event) => event.contentBlockStart)?.contentBlockStart?.start?.toolUse;
  expect(start).toMatchObject({ name: 'get_weather', toolUseId: expect.any(String) });
  const fragments = events.map((event) => event.contentBlockDelta?.delta?.toolUse?.input ?? '').join('');
  expect(JSON.parse(fragments)).toEqual({ city: 'Rome' });
  expect(events.find((event) => event.messageStop)?.messageStop?.stopReason).toBe('tool_use');
});

test('a prompt up to a cache point is written once and then read; the rest is counted apart', async () => {
  const long = 'A rule that holds for all of us. '.repeat(400);
  const ask = async (text: string) =>
    (await converse({ system: [{ text: long }, { cachePoint: { type: 'default' } }], messages: [user({ text })] }))
      .usage;
  const first = await ask('One question');
  const second = await ask('Another question');
  expect(first?.cacheWriteInputTokens).toBeGreaterThan(1_024);
  expect(first?.cacheReadInputTokens).toBe(0);
  expect(second?.cacheReadInputTokens).toBe(first?.cacheWriteInputTokens);
  expect(second?.cacheWriteInputTokens).toBe(0);
  expect(second?.inputTokens).toBeLessThan(100);
});

describe('what the service refuses is refused', () => {
  const toolUse = { toolUse: { toolUseId: 'a', name: 't', input: {} } };
  const toolResult = { toolResult: { toolUseId: 'a', content: [{ text: 'x' }] } };
  const tool = { toolSpec: { name: 't', inputSchema: { json: { type: 'object' } } } };
  const point = { cachePoint: { type: 'default' as const } };
  test.each([
    ['a first turn of the assistant', { messages: [assistant({ text: 'x' })] }, /must start with a user message/],
    ['two user turns', { messages: [user({ text: 'x' }), user({ text: 'y' })] }, /must alternate/],
    ['blank text', { messages: [user({ text: ' ' })] }, /messages\.0\.content\.0 is blank/],
    ['an empty turn', { messages: [user()] }, /is empty/],
    [
      'tool blocks without tools',
      { messages: [user({ text: 'x' }), assistant(toolUse), user(toolResult)] },
      /toolConfig field must be defined/,
    ],
    [
      'a missing tool result',
      { messages: [user({ text: 'x' }), assistant(toolUse), user({ text: 'y' })], toolConfig: { tools: [tool] } },
      /Expected toolResult blocks at messages\.2\.content for the following Ids: a/,
    ],
    [
      'a tool result without its use',
      { messages: [user(toolResult)], toolConfig: { tools: [tool] } },
      /exceeds the number of toolUse blocks/,
    ],
    ['no tools in a tool configuration', { toolConfig: { tools: [] } }, /toolConfig\.tools/],
    [
      'a tool schema that is no object',
      { toolConfig: { tools: [{ toolSpec: { name: 't', inputSchema: { json: { type: 'string' } } } }] } },
      /must be one of the following: object/,
    ],
    ['too many cache points', { system: [point, point, point, point, point] }, /maximum of 4/],
    ['a temperature of 1.5', { inferenceConfig: { temperature: 1.5 } }, /temperature.*less than or equal to 1/],
    ['metadata of other characters', { requestMetadata: { user: 'Zoë' } }, /requestMetadata/],
    ['no such model', { modelId: 'no model' }, /model identifier is invalid/],
    [
      "an assistant's image",
      {
        messages: [
          user({ text: 'x' }),
          assistant({ image: { format: 'png', source: { bytes: new Uint8Array([1]) } } }),
        ],
      },
      /only supported in user messages/,
    ],
  ] as [string, Partial<ConverseCommandInput>, RegExp][])('%s', async (_, overrides, message) => {
    await expect(converse(overrides)).rejects.toMatchObject({ name: 'ValidationException', message });
  });

  test('a request without credentials', async () => {
    const response = await fetch(`${runtime.url}/model/amazon.nova-lite-v1%3A0/converse`, {
      method: 'POST',
      body: '{}',
    });
    expect(response.status).toBe(403);
    expect(response.headers.get('x-amzn-errortype')).toBe('MissingAuthenticationTokenException');
  });
});

test("a model's failure before the first token keeps its status", async () => {
  const model = await createTextModel({ upstream: 'http://127.0.0.1:9' });
  const failing = await startBedrockRuntime({ model });
  const other = new BedrockRuntimeClient({
    region: 'us-east-1',
    endpoint: failing.url,
    maxAttempts: 1,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  });
  await expect(other.send(new ConverseStreamCommand(input()))).rejects.toMatchObject({
    name: 'ServiceUnavailableException',
    $metadata: { httpStatusCode: 503 },
  });
  other.destroy();
  await failing.close();
});
