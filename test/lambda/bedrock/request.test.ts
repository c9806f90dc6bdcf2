import { describe, expect, test } from 'vitest';
import { ANSWER_TOOL } from '../../../lambda/backends/bedrock/answer-tool.ts';
import { toConverse, toConverseStream } from '../../../lambda/backends/bedrock/request.ts';
import type { BedrockConfig } from '../../../lambda/backends/bedrock/settings.ts';
import type { ChatCompletionRequest, ChatMessage } from '../../../lambda/contract/openai.ts';
import { bedrockConfig, callOf, chat, PNG, weatherTool } from './fixtures.ts';

const convert = (request: Partial<ChatCompletionRequest>, config: Partial<BedrockConfig> = {}) =>
  toConverse(callOf(chat(request)), bedrockConfig(config));
const turns = (...messages: ChatMessage[]) => convert({ messages }).messages;
const callMessage = (id: string, args = '{"city":"Paris"}', name = 'get_weather'): ChatMessage => ({
  role: 'assistant',
  content: null,
  tool_calls: [{ id, type: 'function', function: { name, arguments: args } }],
});

describe('a conversation', () => {
  test('has system and developer messages apart, in their order, wherever they stood', () => {
    const input = convert({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hi' },
        { role: 'developer', content: [{ type: 'text', text: 'In French.' }] },
      ],
    });
    expect(input.system).toEqual([{ text: 'Be brief.' }, { text: 'In French.' }]);
    expect(input.messages).toEqual([{ role: 'user', content: [{ text: 'Hi' }] }]);
  });

  test('has consecutive messages of one role merged, since turns must alternate', () => {
    expect(
      turns(
        { role: 'user', content: 'One' },
        { role: 'user', content: [{ type: 'text', text: 'Two' }] },
        { role: 'assistant', content: 'Three' },
        { role: 'assistant', content: 'Four' },
        { role: 'user', content: 'Five' },
      ),
    ).toEqual([
      { role: 'user', content: [{ text: 'One' }, { text: 'Two' }] },
      { role: 'assistant', content: [{ text: 'Three' }, { text: 'Four' }] },
      { role: 'user', content: [{ text: 'Five' }] },
    ]);
  });

  test.each([
    { name: 'the assistant speaks first', messages: [{ role: 'assistant', content: 'Hello, how can I help?' }] },
    { name: 'there is only a system message', messages: [{ role: 'system', content: 'Tell a joke.' }] },
  ] as { name: string; messages: ChatMessage[] }[])('begins with a user turn when $name', ({ messages }) => {
    expect(turns(...messages)?.[0]?.role).toBe('user');
  });

  test('leaves out blank text, which Converse refuses', () => {
    expect(
      turns(
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: '  ' },
        {
          role: 'user',
          content: [
            { type: 'text', text: '' },
            { type: 'text', text: 'there' },
          ],
        },
      ),
    ).toEqual([{ role: 'user', content: [{ text: 'Hi' }, { text: 'there' }] }]);
  });

  test('ends without trailing white space when the assistant is to go on', () => {
    expect(turns({ role: 'user', content: 'A poem' }, { role: 'assistant', content: 'Roses are ' })?.at(-1)).toEqual({
      role: 'assistant',
      content: [{ text: 'Roses are' }],
    });
  });

  test('says who speaks when a user has a name', () => {
    expect(turns({ role: 'user', name: 'ann', content: 'Hi' })).toEqual([
      { role: 'user', content: [{ text: 'ann: Hi' }] },
    ]);
  });

  test('keeps a refusal of the past as what the assistant said', () => {
    expect(turns({ role: 'user', content: 'x' }, { role: 'assistant', content: null, refusal: 'No.' })?.[1]).toEqual({
      role: 'assistant',
      content: [{ text: 'No.' }],
    });
  });
});

describe('tool calls of the past', () => {
  const messages: ChatMessage[] = [
    { role: 'user', content: 'Weather in Paris and Rome?' },
    {
      role: 'assistant',
      content: 'Let me look.',
      tool_calls: [
        { id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: '{"city":"Paris"}' } },
        { id: 'call_2', type: 'function', function: { name: 'get_weather', arguments: '' } },
      ],
    },
    { role: 'tool', tool_call_id: 'call_1', content: 'sunny' },
    { role: 'tool', tool_call_id: 'call_2', content: '' },
    { role: 'user', content: 'Thanks' },
  ];

  test('become tool use, their results one user turn together with what the user says next', () => {
    expect(convert({ messages, tools: [weatherTool] }).messages).toEqual([
      { role: 'user', content: [{ text: 'Weather in Paris and Rome?' }] },
      {
        role: 'assistant',
        content: [
          { text: 'Let me look.' },
          { toolUse: { toolUseId: 'call_1', name: 'get_weather', input: { city: 'Paris' } } },
          { toolUse: { toolUseId: 'call_2', name: 'get_weather', input: {} } },
        ],
      },
      {
        role: 'user',
        content: [
          { toolResult: { toolUseId: 'call_1', content: [{ text: 'sunny' }] } },
          { toolResult: { toolUseId: 'call_2', content: [{ text: '(empty)' }] } },
          { text: 'Thanks' },
        ],
      },
    ]);
  });

  test.each([
    { name: 'no tools', request: {} },
    { name: "tool_choice 'none'", request: { tools: [weatherTool], tool_choice: 'none' } },
  ] as { name: string; request: Partial<ChatCompletionRequest> }[])(
    'are told as text with $name, since Converse refuses the blocks without tools',
    ({ request }) => {
      const input = convert({ messages, ...request });
      expect(input.toolConfig).toBeUndefined();
      const text = JSON.stringify(input.messages);
      expect(text).not.toContain('toolUse');
      expect(text).not.toContain('toolResult');
      expect(text).toContain('get_weather({\\"city\\":\\"Paris\\"})');
      expect(text).toContain('sunny');
    },
  );

  test('keep call and result together when the id came from another backend and is no id for Converse', () => {
    const id = `call|${'x'.repeat(80)}`;
    const input = convert({
      tools: [weatherTool],
      messages: [{ role: 'user', content: 'x' }, callMessage(id), { role: 'tool', tool_call_id: id, content: 'ok' }],
    });
    const used = input.messages?.[1]?.content?.[0]?.toolUse?.toolUseId;
    expect(used).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
    expect(input.messages?.[2]?.content?.[0]?.toolResult?.toolUseId).toBe(used);
  });

  test.each(['{"city":', '[1]', '"Paris"'])('are refused by name when the arguments are %s', (args) => {
    expect(() =>
      convert({ tools: [weatherTool], messages: [{ role: 'user', content: 'x' }, callMessage('c', args)] }),
    ).toThrow(expect.objectContaining({ param: 'messages[1].tool_calls[0].function.arguments' }));
  });
});

describe('images', () => {
  const withImage = (url: string) =>
    convert({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] });

  test('become bytes with their real format, whatever the URL claims', () => {
    const image = withImage(PNG.replace('image/png', 'image/jpeg')).messages?.[0]?.content?.[0]?.image;
    expect(image?.format).toBe('png');
    expect(Buffer.from(image?.source?.bytes ?? []).toString('base64')).toBe(PNG.split(',')[1]);
  });

  test.each([
    { what: 'no image', url: `data:image/png;base64,${Buffer.from('hello').toString('base64')}` },
    { what: 'no base64', url: 'data:image/svg+xml,<svg/>' },
    { what: 'larger than 3.75 MB', url: `${PNG.replaceAll('=', '')}${'A'.repeat(6_000_000)}` },
  ])('are refused by name when they are $what', ({ url }) => {
    expect(() => withImage(url)).toThrow(expect.objectContaining({ param: 'messages[0].content[0].image_url.url' }));
  });

  test('are refused when there are more than 20 in a turn', () => {
    const content = Array.from({ length: 21 }, () => ({ type: 'image_url' as const, image_url: { url: PNG } }));
    expect(() => convert({ messages: [{ role: 'user', content }] })).toThrow(/21 images/);
  });
});

describe('tools', () => {
  test('carry their schema, and an object schema when they have none', () => {
    const input = convert({ tools: [weatherTool, { type: 'function', function: { name: 'now', description: ' ' } }] });
    expect(input.toolConfig).toEqual({
      tools: [
        {
          toolSpec: {
            name: 'get_weather',
            description: 'The weather in a city',
            inputSchema: { json: weatherTool.function.parameters },
          },
        },
        { toolSpec: { name: 'now', inputSchema: { json: { type: 'object', properties: {} } } } },
      ],
    });
  });

  test.each([
    { choice: 'auto', expected: undefined },
    { choice: 'required', expected: { any: {} } },
    { choice: { type: 'function', function: { name: 'get_weather' } }, expected: { tool: { name: 'get_weather' } } },
  ] as const)('are chosen as asked: $choice', ({ choice, expected }) => {
    expect(convert({ tools: [weatherTool], tool_choice: choice }).toolConfig?.toolChoice).toEqual(expected);
  });

  test('are strict only where the model has native structured output', () => {
    const tools = [{ ...weatherTool, function: { ...weatherTool.function, strict: true } }];
    const strict = (config: Partial<BedrockConfig>) =>
      convert({ tools }, config).toolConfig?.tools?.[0]?.toolSpec?.strict;
    expect(strict({ jsonSchema: 'output-config' })).toBe(true);
    expect(strict({ jsonSchema: 'tool' })).toBeUndefined();
  });
});

describe('a JSON answer', () => {
  const schema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
  const response_format = { type: 'json_schema', json_schema: { name: 'person', schema } } as const;

  test('is asked for by a forced tool with the schema', () => {
    const input = convert({ response_format });
    expect(input.toolConfig?.toolChoice).toEqual({ tool: { name: ANSWER_TOOL } });
    expect(input.toolConfig?.tools?.[0]?.toolSpec?.inputSchema?.json).toEqual(schema);
    expect(input.outputConfig).toBeUndefined();
  });

  test('leaves the other tools to the model when there are some', () => {
    const input = convert({ response_format, tools: [weatherTool] });
    expect(input.toolConfig?.toolChoice).toEqual({ any: {} });
    expect(input.toolConfig?.tools?.map((tool) => tool.toolSpec?.name)).toEqual(['get_weather', ANSWER_TOOL]);
  });

  test('is asked for natively where the model has it', () => {
    const input = convert({ response_format }, { jsonSchema: 'output-config' });
    expect(input.toolConfig).toBeUndefined();
    expect(input.outputConfig).toEqual({
      textFormat: {
        type: 'json_schema',
        structure: { jsonSchema: { name: 'person', schema: JSON.stringify(schema) } },
      },
    });
  });

  test('of any shape is an object through the tool, natively there is none', () => {
    const input = convert({ response_format: { type: 'json_object' } }, { jsonSchema: 'output-config' });
    expect(input.toolConfig?.tools?.[0]?.toolSpec?.inputSchema?.json).toEqual({
      type: 'object',
      additionalProperties: true,
    });
  });
});

describe('reasoning', () => {
  const budget = (request: Partial<ChatCompletionRequest>) =>
    convert({ reasoning_effort: 'high', ...request }, { reasoning: 'anthropic-budget' }).additionalModelRequestFields;

  test('has a budget by effort', () => {
    expect(budget({})).toEqual({ thinking: { type: 'enabled', budget_tokens: 16_384 } });
    expect(budget({ reasoning_effort: 'low' })).toEqual({ thinking: { type: 'enabled', budget_tokens: 2_048 } });
  });

  test('leaves room for the answer within the token limit, and is refused by name when there is none', () => {
    expect(budget({ max_completion_tokens: 5_000 })).toEqual({ thinking: { type: 'enabled', budget_tokens: 4_000 } });
    expect(() => budget({ max_completion_tokens: 1_279 })).toThrow(
      expect.objectContaining({ param: 'reasoning_effort', message: expect.stringContaining('at least 1280') }),
    );
    expect(budget({ max_completion_tokens: 1_280 })).toEqual({ thinking: { type: 'enabled', budget_tokens: 1_024 } });
  });

  test('is off when not asked for', () => {
    expect(budget({ reasoning_effort: null })).toBeUndefined();
    expect(budget({ reasoning_effort: 'none' })).toBeUndefined();
  });

  test.each([
    {
      modelId: 'us.anthropic.claude-opus-5-v1:0',
      expected: { thinking: { type: 'adaptive' }, output_config: { effort: 'medium' } },
    },
    {
      modelId: 'us.amazon.nova-2-lite-v1:0',
      expected: { reasoningConfig: { type: 'enabled', maxReasoningEffort: 'medium' } },
    },
    { modelId: 'openai.gpt-oss-120b-1:0', expected: { reasoning_effort: 'medium' } },
  ])("speaks the family's own words: $modelId", ({ modelId, expected }) => {
    const input = convert({ reasoning_effort: 'medium' }, { reasoning: 'effort', modelId });
    expect(input.additionalModelRequestFields).toEqual(expected);
  });

  test('is handed back with its signature, before the calls that it led to', () => {
    const thinking_blocks = [
      { type: 'thinking', thinking: 'Hm.', signature: 'c2ln' },
      { type: 'thinking', thinking: 'unsigned' },
      { type: 'redacted_thinking', data: 'AAEC' },
    ];
    const input = convert(
      {
        reasoning_effort: 'low',
        tools: [weatherTool],
        messages: [
          { role: 'user', content: 'x' },
          { ...callMessage('call_1'), thinking_blocks },
          { role: 'tool', tool_call_id: 'call_1', content: 'ok' },
        ],
      },
      { reasoning: 'anthropic-budget' },
    );
    expect(input.additionalModelRequestFields).toHaveProperty('thinking');
    expect(input.messages?.[1]?.content).toEqual([
      { reasoningContent: { reasoningText: { text: 'Hm.', signature: 'c2ln' } } },
      { reasoningContent: { redactedContent: Buffer.from([0, 1, 2]) } },
      { toolUse: { toolUseId: 'call_1', name: 'get_weather', input: { city: 'Paris' } } },
    ]);
  });

  test('pauses within a turn of tool calls whose thinking the client did not keep', () => {
    const messages: ChatMessage[] = [
      { role: 'user', content: 'x' },
      callMessage('call_1'),
      { role: 'tool', tool_call_id: 'call_1', content: 'ok' },
    ];
    expect(budget({ tools: [weatherTool], messages })).toBeUndefined();
    expect(
      budget({ tools: [weatherTool], messages: [...messages, { role: 'user', content: 'And now?' }] }),
    ).toBeDefined();
  });
});

describe('cache points', () => {
  const long = 'A long and stable text about lighthouses. '.repeat(120);
  const bigTool = { ...weatherTool, function: { ...weatherTool.function, description: long } };
  const messages: ChatMessage[] = [
    { role: 'system', content: long },
    { role: 'user', content: 'First' },
    { role: 'assistant', content: 'Answer' },
    { role: 'user', content: 'Second' },
  ];
  const points = (request: Partial<ChatCompletionRequest>, config: Partial<BedrockConfig> = {}) => {
    const input = convert({ messages, tools: [bigTool], ...request }, { promptCaching: true, ...config });
    return {
      tools: input.toolConfig?.tools?.map((tool) => 'cachePoint' in tool),
      system: input.system?.map((block) => 'cachePoint' in block),
      turns: input.messages?.map((turn) => turn.content?.some((block) => block.cachePoint !== undefined)),
    };
  };

  test('stand after the tools, after the system prompt and after the last turn that will not change', () => {
    expect(points({})).toEqual({ tools: [false, true], system: [false, true], turns: [true, false, false] });
  });

  test('are none unless asked for', () => {
    expect(JSON.stringify(convert({ messages, tools: [bigTool] }))).not.toContain('cachePoint');
  });

  test('are none in a prompt too short to be cached', () => {
    const short: ChatMessage[] = messages.map((message) => ({ ...message, content: 'Short' }));
    expect(points({ messages: short, tools: [weatherTool] })).toEqual({
      tools: [false],
      system: [false],
      turns: [false, false, false],
    });
  });

  test('are not among the tools for models that refuse them there', () => {
    expect(points({}, { modelId: 'amazon.nova-pro-v1:0' }).tools).toEqual([false]);
  });

  test("are not after a tool's result for models that refuse them there", () => {
    const agentic: ChatMessage[] = [
      { role: 'system', content: long },
      { role: 'user', content: 'First' },
      callMessage('a'),
      { role: 'tool', tool_call_id: 'a', content: 'ok' },
      callMessage('b'),
      { role: 'tool', tool_call_id: 'b', content: 'ok' },
    ];
    expect(points({ messages: agentic }).turns).toEqual([false, false, true, false, false]);
    expect(points({ messages: agentic }, { modelId: 'amazon.nova-pro-v1:0' }).turns).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe('the rest', () => {
  test('limits, sampling and stops are passed on', () => {
    const input = convert({ max_completion_tokens: 100, temperature: 0.2, top_p: 0.9, stop: ['END', ''] });
    expect(input.inferenceConfig).toEqual({ maxTokens: 100, temperature: 0.2, topP: 0.9, stopSequences: ['END'] });
    expect(convert({ stop: 'END' }).inferenceConfig).toEqual({ stopSequences: ['END'] });
    expect(convert({}).inferenceConfig).toBeUndefined();
  });

  test('guardrail and service tier come from the configuration; the stream mode only when streaming', () => {
    const config = bedrockConfig({
      guardrail: { id: 'gr1', version: '2', streamProcessingMode: 'async' },
      serviceTier: 'flex',
    });
    const whole = toConverse(callOf(chat()), config);
    expect(whole.guardrailConfig).toEqual({ guardrailIdentifier: 'gr1', guardrailVersion: '2' });
    expect(whole.serviceTier).toEqual({ type: 'flex' });
    expect(toConverseStream(callOf(chat()), config).guardrailConfig).toEqual({
      guardrailIdentifier: 'gr1',
      guardrailVersion: '2',
      streamProcessingMode: 'async',
    });
  });

  test('attribution fits the limits of request metadata', () => {
    const attribution = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`key${i}`, 'v']));
    const call = {
      ...callOf(chat()),
      attribution: { 'end user': 'Zoë <z@x.org>', long: 'x'.repeat(300), ...attribution },
    };
    const metadata = toConverse(call, bedrockConfig()).requestMetadata ?? {};
    expect(Object.keys(metadata)).toHaveLength(16);
    expect(metadata.requestId).toBe('req-1');
    expect(metadata['end user']).toBe('Zo_ _z@x.org_');
    expect(metadata.long).toHaveLength(256);
  });
});
