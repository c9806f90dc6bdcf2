import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../lambda/serving/errors.ts';
import { jsonErrorOffset } from '../../../lambda/serving/json-position.ts';
import { parseChatRequest } from '../../../lambda/serving/parse.ts';

const MAX = 100_000;
const parse = (body: string) => parseChatRequest({ body }, MAX);
const user = { role: 'user', content: 'hi' };
const request = (fields: object) => JSON.stringify({ model: 'm', messages: [user], ...fields });

function refusal(body: string): ApiError {
  try {
    parse(body);
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('what is no JSON is refused with its position', () => {
  test.each([
    ['{"model":"m",}', 'unexpected "}" at line 1 column 14 (offset 13)'],
    ['{\n  "model" "m"\n}', 'unexpected "\\"" at line 2 column 11 (offset 12)'],
    ['{"model":"m"', 'unexpected the end of the body at line 1 column 13 (offset 12)'],
    ['{"model":"a\nb"}', 'unexpected "\\n" at line 1 column 12 (offset 11)'],
    ["{'model':1}", 'unexpected "\'" at line 1 column 2 (offset 1)'],
    ['{"a":1}}', 'unexpected "}" at line 1 column 8 (offset 7)'],
    ['{"a":"\\x"}', 'unexpected "x" at line 1 column 8 (offset 7)'],
    ['[1 2]', 'unexpected "2" at line 1 column 4 (offset 3)'],
    ['{"a":undefined}', 'unexpected "u" at line 1 column 6 (offset 5)'],
    ['{"a":01}', 'unexpected "1" at line 1 column 7 (offset 6)'],
    ['{"a":tru}', 'unexpected "}" at line 1 column 9 (offset 8)'],
    ['😀', 'unexpected "😀" at line 1 column 1 (offset 0)'],
  ])('%j', (body, message) => {
    const error = refusal(body);
    expect(error).toMatchObject({ status: 400, code: 'invalid_json', type: 'invalid_request_error' });
    expect(error.message).toContain(message);
  });

  test('an empty body', () => {
    expect(refusal('').message).toContain('empty');
    expect(refusal('  \n').message).toContain('empty');
  });
});

describe('a problem names its parameter', () => {
  test.each([
    ['{"messages":[]}', 'model', 'missing_required_parameter'],
    ['{"model":"m"}', 'messages', 'missing_required_parameter'],
    ['{"model":"m","messages":[]}', 'messages', 'empty_array'],
    ['{"model":"m","messages":"hi"}', 'messages', 'invalid_type'],
    ['{"model":" ","messages":[{"role":"user","content":"x"}]}', 'model', 'invalid_value'],
    [request({ messages: [user, { role: 'user', content: 5 }] }), 'messages[1].content', 'invalid_type'],
    [request({ messages: [{ content: 'x' }] }), 'messages[0].role', 'missing_required_parameter'],
    [request({ messages: [{ role: 'robot', content: 'x' }] }), 'messages[0].role', 'invalid_value'],
    [request({ messages: [{ role: 'user' }] }), 'messages[0].content', 'missing_required_parameter'],
    [request({ messages: [{ role: 'tool', content: 'x' }] }), 'messages[0].tool_call_id', 'missing_required_parameter'],
    [
      request({ messages: [{ role: 'user', content: [{ type: 'text' }] }] }),
      'messages[0].content[0].text',
      'missing_required_parameter',
    ],
    [
      request({ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }),
      'messages[0].content[0].image_url',
      'missing_required_parameter',
    ],
    [
      request({
        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }] }],
      }),
      'messages[0].content[0].image_url.url',
      'invalid_value',
    ],
    [request({ temperature: 3 }), 'temperature', 'integer_above_max_value'],
    [request({ temperature: -0.5 }), 'temperature', 'decimal_below_min_value'],
    [request({ max_tokens: 0 }), 'max_tokens', 'integer_below_min_value'],
    [request({ max_tokens: 1.5 }), 'max_tokens', 'invalid_type'],
    ['{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":1e999}', 'max_tokens', 'invalid_type'],
    [request({ n: 0 }), 'n', 'integer_below_min_value'],
    [request({ seed: 2 ** 60 }), 'seed', 'integer_above_max_value'],
    [request({ stop: [1] }), 'stop[0]', 'invalid_type'],
    [
      request({ tools: [{ type: 'function', function: { name: 'has space' } }] }),
      'tools[0].function.name',
      'invalid_value',
    ],
    [request({ tools: [{ type: 'function' }] }), 'tools[0].function', 'missing_required_parameter'],
    [request({ tool_choice: 'sometimes' }), 'tool_choice', 'invalid_value'],
    [request({ tool_choice: 'required' }), 'tool_choice', null],
    [
      request({
        tools: [{ type: 'function', function: { name: 'a' } }],
        tool_choice: { type: 'function', function: { name: 'b' } },
      }),
      'tool_choice',
      null,
    ],
    [
      request({ response_format: { type: 'json_schema' } }),
      'response_format.json_schema',
      'missing_required_parameter',
    ],
    [
      request({ response_format: { type: 'json_schema', json_schema: {} } }),
      'response_format.json_schema.name',
      'missing_required_parameter',
    ],
    [request({ stream_options: { include_usage: true } }), 'stream_options', null],
    [request({ metadata: { a: 1 } }), 'metadata.a', 'invalid_type'],
    [
      request({ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [i, 'x'])) }),
      'metadata',
      'object_above_max_properties',
    ],
    [request({ user: 'x'.repeat(600) }), 'user', 'string_above_max_length'],
    [request({ priority: 1 }), 'priority', 'unsupported_parameter'],
    [request({ logits_processors: ['os.system'] }), 'logits_processors', 'unsupported_parameter'],
    [request({ lora_path: '/x' }), 'lora_path', 'unsupported_parameter'],
    [request({ api_base: 'http://x' }), 'api_base', 'unsupported_parameter'],
    [request({ models: ['dear'] }), 'models', 'unsupported_parameter'],
    [
      request({ chat_template_kwargs: { chat_template: 'x' } }),
      'chat_template_kwargs.chat_template',
      'unsupported_parameter',
    ],
    [
      request({ messages: [user, { role: 'assistant', tool_calls: [{ id: 'a', type: 'function' }] }] }),
      'messages[1].tool_calls[0].function',
      'missing_required_parameter',
    ],
    [request({ kv_transfer_params: {} }), 'kv_transfer_params', 'unsupported_parameter'],
    [
      '{"model":"m","messages":[{"role":"user","content":"x"}],"__proto__":{"stream":true}}',
      '__proto__',
      'unsupported_parameter',
    ],
    [request({ messages: [{ role: 'user', content: 'cut \ud83d' }] }), 'messages[0].content', 'invalid_value'],
  ])('%#: %s', (body, param, code) => {
    expect(refusal(body)).toMatchObject({ status: 400, param, code, type: 'invalid_request_error' });
  });

  test('in words that say what was expected and what came', () => {
    expect(refusal('[]').message).toBe('Invalid request body: expected an object, but got an array instead.');
    expect(refusal(request({ messages: [{ role: 'user', content: 5 }] })).message).toBe(
      "Invalid type for 'messages[0].content': expected one of a string or an array, but got an integer instead.",
    );
    expect(refusal(request({ temperature: 2.5 })).message).toBe(
      "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
    );
  });

  test('of several, the first', () => {
    expect(refusal('{"messages":[],"temperature":9}').param).toBe('model');
  });

  test('a long value is shortened in the message', () => {
    expect(refusal(request({ tool_choice: 'x'.repeat(10_000) })).message.length).toBeLessThan(300);
  });
});

describe('everything that OpenAI takes is accepted', () => {
  test.each<object>([
    { stream: true, stream_options: { include_usage: true } },
    {
      max_tokens: null,
      temperature: null,
      stop: null,
      tools: null,
      tool_choice: null,
      response_format: null,
      stream_options: null,
    },
    { n: 2, stop: ['a', 'b'], seed: -1, logprobs: true, top_logprobs: 5, logit_bias: { 5: -100 } },
    {
      max_completion_tokens: 5,
      reasoning_effort: 'high',
      metadata: { feature: 'x' },
      user: 'u',
      safety_identifier: 's',
    },
    {
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' }, strict: true } }],
      tool_choice: 'auto',
      parallel_tool_calls: false,
    },
    { tools: [{ type: 'custom', custom: { name: 'c' } }] },
    { response_format: { type: 'json_schema', json_schema: { name: 'n', schema: {}, strict: true } } },
    {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'x' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
          ],
        },
      ],
    },
    { messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: '', format: 'wav' } }] }] },
    {
      messages: [
        user,
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: '1', content: 'r' },
      ],
    },
    { top_k: 5, chat_template_kwargs: { enable_thinking: false }, anything: [1] },
  ])('%j', (fields) => {
    expect(parse(request(fields))).toMatchObject(fields);
  });
});

describe('a hostile body', () => {
  test('too large is 413, measured in bytes', () => {
    const content = 'é'.repeat(MAX / 2);
    expect(refusal(request({ messages: [{ role: 'user', content }] }))).toMatchObject({
      status: 413,
      type: 'invalid_request_error',
      code: 'request_too_large',
    });
    expect(refusal(' '.repeat(MAX + 1)).status).toBe(413);
  });

  test.each([
    ['brackets', '['.repeat(90_000)],
    ['sound arrays', `{"model":"m","messages":[],"x":${'['.repeat(40_000)}${']'.repeat(40_000)}}`],
    ['sound objects', `${'{"a":'.repeat(15_000)}1${'}'.repeat(15_000)}`],
  ])('nested without end: %s', (_, body) => {
    expect(refusal(body).status).toBe(400);
  });

  test('of duplicate keys is what the last of them says, to the check and to the backend alike', () => {
    expect(parse('{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}').model).toBe('b');
  });

  test('changes no prototype', () => {
    parse(
      '{"model":"m","messages":[{"role":"user","content":"x","__proto__":{"polluted":1}}],"constructor":{"prototype":{"polluted":1}}}',
    );
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  test('of a million values is checked in good time', () => {
    const body = `{"model":"m","messages":[{"role":"user","content":"x"}],"logit":[${'1,'.repeat(1_000_000)}1]}`;
    const start = performance.now();
    parseChatRequest({ body }, 10_000_000);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('whatever comes', () => {
  test('is accepted or refused with a 4xx, and nothing else', () => {
    const part = fc.oneof(
      fc.string(),
      fc.record({ type: fc.constantFrom('text', 'image_url', 'x'), text: fc.anything() }),
      fc.anything(),
    );
    const message = fc.oneof(
      fc.anything(),
      fc.record(
        {
          role: fc.constantFrom('user', 'assistant', 'tool'),
          content: fc.oneof(fc.string(), fc.array(part)),
          tool_calls: fc.anything(),
        },
        { requiredKeys: [] },
      ),
    );
    const body = fc.record(
      {
        model: fc.oneof(fc.string(), fc.anything()),
        messages: fc.oneof(fc.array(message), fc.anything()),
        tools: fc.anything(),
        tool_choice: fc.anything(),
        response_format: fc.anything(),
        stream_options: fc.anything(),
        stop: fc.anything(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(body, fc.anything()), (value) => {
        const text =
          JSON.stringify(value, (_key, item) => (typeof item === 'bigint' ? String(item) : item)) ?? 'undefined';
        try {
          expect(parse(text).messages.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
          expect((error as ApiError).status).toBe(400);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test.each(['"\\u"', '"\\u1"', '"\\u12x4"', '"\\u123', '"\\u12', '"\\u'])(
    'is no JSON where the hexadecimal digits of an escape end: %s',
    (text) => {
      expect(() => JSON.parse(text)).toThrow(`at position ${jsonErrorOffset(text)} `);
    },
  );

  test('is no JSON at the place where V8 says so, where V8 says it', () => {
    const wound = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '}', ']', ':', '"', '\\', 'x', '\n', '1', '{'))
      .map(
        ([json, at, mark]) => json.slice(0, at % (json.length + 1)) + mark + json.slice((at % (json.length + 1)) + 1),
      );
    let compared = 0;
    fc.assert(
      fc.property(wound, (text) => {
        try {
          JSON.parse(text);
        } catch (error) {
          const position = /at position (\d+)/.exec((error as Error).message)?.[1];
          const offset = jsonErrorOffset(text);
          expect(offset).toBeLessThanOrEqual(text.length);
          if (position === undefined) return;
          compared += 1;
          expect([text, offset]).toEqual([text, Number(position)]);
        }
      }),
      { numRuns: 3000 },
    );
    expect(compared).toBeGreaterThan(100);
  });
});
