import type { ConverseCommandOutput, ConverseStreamOutput } from '@aws-sdk/client-bedrock-runtime';
import { describe, expect, test } from 'vitest';
import { ANSWER_TOOL } from '../../../lambda/backends/bedrock/answer-tool.ts';
import { type AnswerOptions, toFrames } from '../../../lambda/backends/bedrock/response-stream.ts';
import { toCompletion } from '../../../lambda/backends/bedrock/response-whole.ts';
import { toUsage } from '../../../lambda/backends/bedrock/usage.ts';
import { chunkOf, collect, errorOf } from './fixtures.ts';

const options = (overrides: Partial<AnswerOptions> = {}): AnswerOptions => ({
  backend: 'bedrock-claude',
  modelId: 'us.anthropic.claude-haiku-4-5-20251001-v1:0',
  id: 'chatcmpl-1',
  created: 1_700_000_000,
  model: 'chat',
  throughTool: false,
  oneToolCall: false,
  ...overrides,
});

async function* events(...list: ConverseStreamOutput[]): AsyncGenerator<ConverseStreamOutput> {
  yield* list;
}

const start: ConverseStreamOutput = { messageStart: { role: 'assistant' } };
const text = (value: string, contentBlockIndex = 0): ConverseStreamOutput => ({
  contentBlockDelta: { contentBlockIndex, delta: { text: value } },
});
const toolStart = (contentBlockIndex: number, name: string): ConverseStreamOutput => ({
  contentBlockStart: { contentBlockIndex, start: { toolUse: { toolUseId: `tooluse_${contentBlockIndex}`, name } } },
});
const input = (contentBlockIndex: number, fragment: string): ConverseStreamOutput => ({
  contentBlockDelta: { contentBlockIndex, delta: { toolUse: { input: fragment } } },
});
const blockStop = (contentBlockIndex: number): ConverseStreamOutput => ({ contentBlockStop: { contentBlockIndex } });
type StopReason = NonNullable<NonNullable<ConverseStreamOutput['messageStop']>['stopReason']>;
const stop = (stopReason: StopReason): ConverseStreamOutput => ({ messageStop: { stopReason } });
const metadata: ConverseStreamOutput = {
  metadata: {
    usage: { inputTokens: 10, outputTokens: 5, totalTokens: 115, cacheReadInputTokens: 80, cacheWriteInputTokens: 20 },
    metrics: { latencyMs: 1 },
  },
};
const translate = (list: ConverseStreamOutput[], overrides: Partial<AnswerOptions> = {}) =>
  collect(toFrames(events(...list), options(overrides)));

describe('a stream', () => {
  test('is a role, deltas, a finish reason and last the usage, each one whole event', async () => {
    const { frames, chunks } = await translate([
      start,
      text('Hel'),
      text('lo'),
      blockStop(0),
      stop('end_turn'),
      metadata,
    ]);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta)).toEqual([
      { role: 'assistant', content: '' },
      { content: 'Hel' },
      { content: 'lo' },
      {},
      undefined,
    ]);
    expect(chunks.every((chunk) => chunk.id === 'chatcmpl-1' && chunk.model === 'chat')).toBe(true);
    expect(chunks.every((chunk) => chunk.object === 'chat.completion.chunk' && chunk.created === 1_700_000_000)).toBe(
      true,
    );
    expect(frames.map((frame) => frame.output)).toEqual([false, true, true, true, false]);
    expect(frames.map((frame) => frame.usageOnly)).toEqual([false, false, false, false, true]);
    expect(frames[3]?.finishReason).toBe('stop');
    expect(frames[4]?.usage).toEqual({
      inputTokens: 110,
      outputTokens: 5,
      cachedInputTokens: 80,
      cacheWriteTokens: 20,
      reasoningTokens: 0,
    });
    expect(chunks[4]?.usage).toEqual({
      prompt_tokens: 110,
      completion_tokens: 5,
      total_tokens: 115,
      prompt_tokens_details: { cached_tokens: 80 },
    });
  });

  test('has each tool call announced with its id and name, then its arguments in fragments', async () => {
    const { deltas, finishReason } = await translate([
      start,
      text('Looking.'),
      blockStop(0),
      toolStart(1, 'get_weather'),
      input(1, ''),
      input(1, '{"city":'),
      input(1, '"Paris"}'),
      blockStop(1),
      toolStart(2, 'now'),
      blockStop(2),
      stop('tool_use'),
      metadata,
    ]);
    expect(deltas.flatMap((delta) => delta.tool_calls ?? [])).toEqual([
      { index: 0, id: 'tooluse_1', type: 'function', function: { name: 'get_weather', arguments: '' } },
      { index: 0, function: { arguments: '{"city":' } },
      { index: 0, function: { arguments: '"Paris"}' } },
      { index: 1, id: 'tooluse_2', type: 'function', function: { name: 'now', arguments: '' } },
      { index: 1, function: { arguments: '{}' } },
    ]);
    expect(finishReason).toBe('tool_calls');
  });

  test('has one tool call when parallel ones are not wanted', async () => {
    const { deltas } = await translate(
      [
        start,
        toolStart(0, 'a'),
        input(0, '{}'),
        blockStop(0),
        toolStart(1, 'b'),
        input(1, '{}'),
        blockStop(1),
        stop('tool_use'),
      ],
      { oneToolCall: true },
    );
    const calls = deltas.flatMap((delta) => (delta.tool_calls as { index: number }[] | undefined) ?? []);
    expect(calls.map((call) => call.index)).toEqual([0, 0]);
  });

  test("has a JSON answer's tool input as its content, and the chatter beside it left out", async () => {
    const { content, deltas, finishReason } = await translate(
      [
        start,
        text('Here it is:'),
        blockStop(0),
        toolStart(1, ANSWER_TOOL),
        input(1, '{"a"'),
        input(1, ':1}'),
        blockStop(1),
        stop('tool_use'),
      ],
      { throughTool: true },
    );
    expect(content).toBe('{"a":1}');
    expect(deltas.some((delta) => delta.tool_calls)).toBe(false);
    expect(finishReason).toBe('stop');
  });

  test('has the text after all when no JSON answer came', async () => {
    const { content, finishReason } = await translate(
      [start, text('I can’t'), text(' do that.'), stop('guardrail_intervened')],
      {
        throughTool: true,
      },
    );
    expect(content).toBe('I can’t do that.');
    expect(finishReason).toBe('content_filter');
  });

  test('has reasoning as it comes and, when it ends, the signed block that clients hand back', async () => {
    const reasoning = (reasoningContent: object): ConverseStreamOutput =>
      ({ contentBlockDelta: { contentBlockIndex: 0, delta: { reasoningContent } } }) as ConverseStreamOutput;
    const { deltas } = await translate([
      start,
      reasoning({ text: 'Let me ' }),
      reasoning({ text: 'see.' }),
      reasoning({ signature: 'c2ln' }),
      blockStop(0),
      {
        contentBlockDelta: {
          contentBlockIndex: 1,
          delta: { reasoningContent: { redactedContent: new Uint8Array([0, 1, 2]) } },
        },
      },
      blockStop(1),
      text('Yes.', 2),
      blockStop(2),
      stop('end_turn'),
    ]);
    expect(deltas.slice(1, -1)).toEqual([
      { reasoning_content: 'Let me ' },
      { reasoning_content: 'see.' },
      { thinking_blocks: [{ type: 'thinking', thinking: 'Let me see.', signature: 'c2ln' }] },
      { thinking_blocks: [{ type: 'redacted_thinking', data: 'AAEC' }] },
      { content: 'Yes.' },
    ]);
  });

  test.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['content_filtered', 'content_filter'],
    ['guardrail_intervened', 'content_filter'],
  ] as const)('that stopped for %s has the finish reason %s', async (stopReason, expected) => {
    expect((await translate([start, text('x'), stop(stopReason)])).finishReason).toBe(expected);
  });

  test('whose output could not be read is an error of the model', async () => {
    expect(await errorOf(translate([start, stop('malformed_tool_use')]))).toMatchObject({ kind: 'server' });
  });

  test('that ends before the message does is an error, not a short answer', async () => {
    expect(await errorOf(translate([start, text('Hel')]))).toMatchObject({ kind: 'protocol' });
  });

  test('passes over events that it does not know', async () => {
    const unknown = { somethingNew: {} } as unknown as ConverseStreamOutput;
    expect((await translate([start, unknown, text('x'), stop('end_turn')])).content).toBe('x');
  });

  test('yields each frame before it asks for the next event', async () => {
    let asked = 0;
    async function* counting(): AsyncGenerator<ConverseStreamOutput> {
      for (const event of [start, text('a'), text('b'), stop('end_turn')]) {
        asked += 1;
        yield event;
      }
    }
    const frames = toFrames(counting(), options());
    await frames.next();
    const second = await frames.next();
    expect(asked).toBe(2);
    expect(second.done || chunkOf(second.value).choices[0]?.delta.content).toBe('a');
    await frames.return(undefined);
  });
});

describe('a whole answer', () => {
  const output = (fields: Partial<ConverseCommandOutput>, content: unknown[]): ConverseCommandOutput =>
    ({
      $metadata: {},
      output: { message: { role: 'assistant', content } },
      stopReason: 'end_turn',
      usage: { inputTokens: 3, outputTokens: 2, totalTokens: 5 },
      metrics: { latencyMs: 1 },
      ...fields,
    }) as ConverseCommandOutput;

  test('is a completion with its usage', () => {
    const { completion, usage } = toCompletion(output({}, [{ text: 'Hel' }, { text: 'lo' }]), options());
    expect(completion).toEqual({
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'chat',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 3,
        completion_tokens: 2,
        total_tokens: 5,
        prompt_tokens_details: { cached_tokens: 0 },
      },
    });
    expect(usage?.inputTokens).toBe(3);
  });

  test('has tool calls, and no content when there is none', () => {
    const use = (id: string) => ({ toolUse: { toolUseId: id, name: 'get_weather', input: { city: 'Paris' } } });
    const { completion } = toCompletion(output({ stopReason: 'tool_use' }, [use('a'), use('b')]), options());
    expect(completion.choices[0]?.message).toMatchObject({
      content: null,
      tool_calls: [
        { id: 'a', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Paris"}' } },
        { id: 'b', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Paris"}' } },
      ],
    });
    expect(completion.choices[0]?.finish_reason).toBe('tool_calls');
    const one = toCompletion(output({ stopReason: 'tool_use' }, [use('a'), use('b')]), options({ oneToolCall: true }));
    expect(one.completion.choices[0]?.message.tool_calls).toHaveLength(1);
  });

  test("unwraps a JSON answer's tool", () => {
    const content = [{ text: 'Here:' }, { toolUse: { toolUseId: 'a', name: ANSWER_TOOL, input: { a: [1] } } }];
    const { completion } = toCompletion(output({ stopReason: 'tool_use' }, content), options({ throughTool: true }));
    expect(completion.choices[0]?.message.content).toBe('{"a":[1]}');
    expect(completion.choices[0]?.message.tool_calls).toBeUndefined();
    expect(completion.choices[0]?.finish_reason).toBe('stop');
  });

  test('has reasoning, readable and to hand back', () => {
    const content = [
      { reasoningContent: { reasoningText: { text: 'Hm.', signature: 'c2ln' } } },
      { reasoningContent: { redactedContent: new Uint8Array([0, 1, 2]) } },
      { text: 'Yes.' },
    ];
    expect(toCompletion(output({}, content), options()).completion.choices[0]?.message).toMatchObject({
      content: 'Yes.',
      reasoning_content: 'Hm.',
      thinking_blocks: [
        { type: 'thinking', thinking: 'Hm.', signature: 'c2ln' },
        { type: 'redacted_thinking', data: 'AAEC' },
      ],
    });
  });

  test('without a message is an error of protocol', () => {
    expect(() => toCompletion(output({ output: undefined }, []), options())).toThrow(
      expect.objectContaining({ kind: 'protocol' }),
    );
  });
});

describe('usage', () => {
  const counts = { outputTokens: 1, totalTokens: 0, cacheReadInputTokens: 100, cacheWriteInputTokens: 50 };

  test("adds the cached tokens to the input, which Bedrock doesn't", () => {
    expect(toUsage({ ...counts, inputTokens: 10 }, 'us.anthropic.claude-haiku-4-5').inputTokens).toBe(160);
  });

  test("doesn't add them a second time for OpenAI's models, where the stream counts them in", () => {
    expect(toUsage({ ...counts, inputTokens: 152 }, 'openai.gpt-oss-120b-1:0').inputTokens).toBe(152);
    expect(toUsage({ ...counts, inputTokens: 2 }, 'openai.gpt-oss-120b-1:0').inputTokens).toBe(152);
  });
});
