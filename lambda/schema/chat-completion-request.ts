/**
 * The body of `POST /v1/chat/completions`, JSON schema draft-04: the only version that API Gateway's models speak. The
 * build compiles it into the handler's validator, and writes a coarse part of it (an object, with `model` and a
 * non-empty list `messages`) as `assets/schemas/chat-completion-request.json`, API Gateway's model. What API Gateway
 * refuses gets a fixed text with `param: null`, and JSON that doesn't parse no position; the handler, which sees
 * everything else and every body of another content type, names both.
 *
 * It refuses what no backend could take and lets everything else pass: parameters that aren't named here belong to one
 * engine or another, and OpenAI adds some every month. Two habits keep the refusals readable: no `anyOf` (its errors
 * name every branch), and keywords that only speak to one type (`pattern` to strings, `items` to arrays) beside a list
 * of types. What a schema can't say well stands in `serving/semantics.ts`.
 */

const nullable = (type: string, rest: object = {}) => ({ type: [type, 'null'], ...rest });

const contentParts = {
  type: ['string', 'array', 'null'],
  items: { $ref: '#/definitions/ContentPart' },
};

const definitions = {
  ContentPart: {
    type: 'object',
    required: ['type'],
    properties: {
      type: { type: 'string' },
      text: { type: 'string' },
      image_url: {
        type: 'object',
        required: ['url'],
        properties: {
          // A `file:` URL would make an engine read its own disk.
          url: { type: 'string', pattern: '^([hH][tT][tT][pP][sS]?://|[dD][aA][tT][aA]:)' },
          detail: nullable('string'),
        },
      },
    },
  },
  ToolCall: {
    type: 'object',
    required: ['id', 'type'],
    properties: {
      id: { type: 'string' },
      type: { type: 'string' },
      function: {
        type: 'object',
        required: ['name', 'arguments'],
        properties: { name: { type: 'string' }, arguments: { type: 'string' } },
      },
    },
  },
  Message: {
    type: 'object',
    required: ['role'],
    properties: {
      role: { type: 'string', enum: ['developer', 'system', 'user', 'assistant', 'tool', 'function'] },
      content: contentParts,
      name: nullable('string'),
      refusal: nullable('string'),
      tool_call_id: nullable('string'),
      tool_calls: nullable('array', { items: { $ref: '#/definitions/ToolCall' } }),
    },
  },
  Tool: {
    type: 'object',
    required: ['type'],
    properties: {
      type: { type: 'string' },
      function: {
        type: 'object',
        required: ['name'],
        properties: {
          // OpenAI's limit is 64; some engines and MCP bridges take longer ones.
          name: { type: 'string', pattern: '^[a-zA-Z0-9_.:-]{1,128}$' },
          description: nullable('string'),
          parameters: nullable('object'),
          strict: nullable('boolean'),
        },
      },
    },
  },
};

export const chatCompletionRequest = {
  $schema: 'http://json-schema.org/draft-04/schema#',
  title: 'ChatCompletionRequest',
  type: 'object',
  required: ['model', 'messages'],
  properties: {
    model: { type: 'string', pattern: '\\S' },
    messages: { type: 'array', minItems: 1, items: { $ref: '#/definitions/Message' } },
    stream: nullable('boolean'),
    stream_options: nullable('object', { properties: { include_usage: nullable('boolean') } }),
    max_tokens: nullable('integer', { minimum: 1 }),
    max_completion_tokens: nullable('integer', { minimum: 1 }),
    temperature: nullable('number', { minimum: 0, maximum: 2 }),
    top_p: nullable('number', { minimum: 0, maximum: 1 }),
    // OpenAI's maximum.
    n: nullable('integer', { minimum: 1, maximum: 128 }),
    stop: { type: ['string', 'array', 'null'], items: { type: 'string' } },
    // A larger integer would silently become another one on its way through JSON.
    seed: nullable('integer', { minimum: -9007199254740991, maximum: 9007199254740991 }),
    frequency_penalty: nullable('number', { minimum: -2, maximum: 2 }),
    presence_penalty: nullable('number', { minimum: -2, maximum: 2 }),
    logit_bias: nullable('object', { additionalProperties: { type: 'number' } }),
    logprobs: nullable('boolean'),
    top_logprobs: nullable('integer', { minimum: 0 }),
    tools: nullable('array', { items: { $ref: '#/definitions/Tool' } }),
    tool_choice: {
      type: ['string', 'object', 'null'],
      pattern: '^(none|auto|required)$',
      required: ['type'],
      properties: {
        type: { type: 'string' },
        function: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
      },
    },
    parallel_tool_calls: nullable('boolean'),
    response_format: nullable('object', {
      required: ['type'],
      properties: {
        type: { type: 'string' },
        json_schema: {
          type: 'object',
          required: ['name'],
          properties: {
            name: { type: 'string', pattern: '^[a-zA-Z0-9_-]{1,64}$' },
            description: nullable('string'),
            schema: nullable('object'),
            strict: nullable('boolean'),
          },
        },
      },
    }),
    reasoning_effort: nullable('string'),
    // OpenAI's maximum.
    metadata: nullable('object', { maxProperties: 16, additionalProperties: { type: 'string' } }),
    // They end in every log line.
    user: nullable('string', { maxLength: 512 }),
    safety_identifier: nullable('string', { maxLength: 512 }),
    store: nullable('boolean'),
    service_tier: nullable('string'),
  },
  definitions,
} as const;
