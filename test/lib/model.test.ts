import { Lazy, Token } from 'aws-cdk-lib';
import { describe, expect, test } from 'vitest';
import { Backend, Gateway, Model, type ModelProps } from '../../lib';
import { anyTier, newStack, read, synthesize } from './fixture.ts';

const REPLY = Backend.staticReply('sorry');

describe('Model', () => {
  test('is named after its construct, and is the same in every synthesis', () => {
    const { config } = synthesize({}, (stack) => ({ models: [new Model(stack, 'Chat', { backends: [REPLY] })] }));
    expect(config.models).toEqual([
      {
        name: 'chat',
        aliases: [],
        ownedBy: 'cdk-llm-serving',
        created: 1735689600,
        backends: [expect.objectContaining({ kind: 'static-reply', text: 'sorry' })],
        fallback: expect.objectContaining({ retries: 1, resume: true }),
      },
    ]);
  });

  test('takes every prop, and keeps the order of its backends', () => {
    const { config } = synthesize({}, (stack) => ({
      models: [
        new Model(stack, 'Chat', {
          modelName: 'acme/chat-1',
          aliases: ['gpt-4o', 'chat'],
          backends: [Backend.bedrock('amazon.nova-lite-v1:0'), REPLY],
          maxOutputTokens: 100,
          ownedBy: 'acme',
          createdUnixSeconds: 1,
        }),
      ],
    }));
    expect(config.models[0]).toMatchObject({
      name: 'acme/chat-1',
      aliases: ['gpt-4o', 'chat'],
      ownedBy: 'acme',
      created: 1,
      maxOutputTokens: 100,
      backends: [{ kind: 'bedrock' }, { kind: 'static-reply' }],
    });
  });

  test.each<[string, Partial<ModelProps>, RegExp]>([
    ['a name with a space', { modelName: 'a b' }, /^a model's name must be .* got "a b"/],
    ['an empty name', { modelName: '' }, /^a model's name must be/],
    ['a name that is too long', { modelName: 'x'.repeat(129) }, /^a model's name must be/],
    ['a name that is a token', { modelName: Lazy.string({ produce: () => 'x' }) }, /^a model's name must be/],
    ['a bad alias', { aliases: ['"'] }, /^a model's name must be/],
    [
      'an alias that is its name',
      { modelName: 'a', aliases: ['a'] },
      /must not repeat a value, but "a" is there twice/,
    ],
    ['no backends', { backends: [] }, /has no backends/],
    ['a backend twice', { backends: [REPLY, REPLY] }, /the backends of model "chat" must not repeat/],
    [
      'output that is a token',
      { maxOutputTokens: Token.asNumber({ Ref: 'N' }) },
      /^maxOutputTokens must be known at synth, but it is a token: pass a plain number/,
    ],
    ['no output', { maxOutputTokens: 0 }, /^maxOutputTokens must be/],
    ['a creation before time', { createdUnixSeconds: -1 }, /^createdUnixSeconds must be/],
  ])('refuses %s', (_, props, message) => {
    expect(() => new Model(newStack(), 'Chat', { backends: [REPLY], ...props })).toThrow(message);
  });

  test('says where a name came from that nobody gave', () => {
    expect(() => new Model(newStack(), 'My model', { backends: [REPLY] })).toThrow(
      /got "my model", the construct's id in lower case: pass modelName$/,
    );
  });

  test('has metrics by its name', () => {
    const model = new Model(newStack(), 'Chat', { backends: [REPLY] });
    expect(model.metricTimeToFirstToken()).toMatchObject({
      metricName: 'TimeToFirstToken',
      dimensions: { model: 'chat' },
      statistic: 'p50',
    });
    expect(model.metricCostUsd({ statistic: 'Maximum' })).toMatchObject({
      metricName: 'CostUsd',
      statistic: 'Maximum',
    });
  });
});

describe('backends of several models', () => {
  test('one object may serve two models, and is permitted once', () => {
    const nova = Backend.bedrock('amazon.nova-lite-v1:0');
    const { config, template } = synthesize({}, (stack) => ({
      models: [new Model(stack, 'A', { backends: [nova] }), new Model(stack, 'B', { backends: [nova] })],
    }));
    expect(config.models.map((model) => model.backends[0]?.id)).toEqual([nova.backendId, nova.backendId]);
    const policies = JSON.stringify(template.findResources('AWS::IAM::Policy'));
    expect(policies.match(/foundation-model\/amazon\.nova-lite/g)).toHaveLength(1);
  });

  test('two objects with the same configuration are one backend', () => {
    const { config } = synthesize({}, (stack) => ({
      models: [
        new Model(stack, 'A', { backends: [Backend.staticReply('x')] }),
        new Model(stack, 'B', { backends: [Backend.staticReply('x')] }),
      ],
    }));
    expect(config.models[0]?.backends).toEqual(config.models[1]?.backends);
  });

  test('two configurations with one id are an error that names it', () => {
    expect(() =>
      synthesize({}, (stack) => ({
        models: [
          new Model(stack, 'A', { backends: [Backend.bedrock('amazon.nova-lite-v1:0')] }),
          new Model(stack, 'B', { backends: [Backend.bedrock('amazon.nova-lite-v1:0', { maxOutputTokens: 5 })] }),
        ],
      })),
    ).toThrow(/^two different backends have the id "bedrock-amazon-nova-lite-v1-0": give one of them a backendId/);
  });

  test('two models with one name are an error that names both', () => {
    expect(() =>
      synthesize({}, (stack) => ({
        models: [
          new Model(stack, 'A', { backends: [REPLY], aliases: ['x'] }),
          new Model(stack, 'B', { backends: [REPLY], modelName: 'x' }),
        ],
      })),
    ).toThrow(/^two models of one gateway answer to "x": Test\/A and Test\/B/);
  });
});

describe('replies by rules', () => {
  const rules = [{ pattern: 'hello', reply: 'Hi!' }];

  test('reach the handler, with an id of their content', () => {
    const backend = Backend.rules(rules, { otherwise: 'Later.' });
    expect(backend.backendId).toMatch(/^rules-[0-9a-f]{8}$/);
    const { config } = synthesize({}, (stack) => ({ models: [new Model(stack, 'Chat', { backends: [backend] })] }));
    expect(config.models[0]?.backends[0]).toMatchObject({ kind: 'rules', rules, otherwise: 'Later.' });
  });

  test.each([
    ['none', [], /^rules must be 1–100, got 0/],
    ['a bad pattern', [{ pattern: '(', reply: 'x' }], /which is no regular expression/],
    ['a pattern for everything', [{ pattern: '.*', reply: 'x' }], /which matches every text/],
    ['an empty reply', [{ pattern: 'x', reply: ' ' }], /must not be empty/],
  ])('refuse %s', (_, given, message) => {
    expect(() => Backend.rules(given)).toThrow(message);
  });
});

describe('a static reply', () => {
  test('has an id of its text, and is free', () => {
    expect(REPLY.backendId).toMatch(/^static-reply-[0-9a-f]{8}$/);
    expect(REPLY.backendId).not.toBe(Backend.staticReply('other').backendId);
    expect(REPLY.price.outputUsd).toBe(0);
    expect(Backend.staticReply('x', { backendId: 'last' }).backendId).toBe('last');
  });

  test.each([
    ['nothing', '', /must not be empty/],
    ['blanks', ' \n', /must not be empty/],
    ['a document', 'x'.repeat(4001), /at most 4000 characters, got 4001/],
    ['a token', Lazy.string({ produce: () => 'x' }), /must be known at synth/],
  ])('refuses %s', (_, text, message) => {
    expect(() => Backend.staticReply(text)).toThrow(message);
  });
});

test('a model may be served by two gateways', () => {
  const stack = newStack();
  const model = new Model(stack, 'Chat', { backends: [Backend.bedrock('amazon.nova-lite-v1:0')] });
  const tier = anyTier(stack);
  const one = new Gateway(stack, 'One', { models: [model], tiers: [tier], cloudWatchRole: false });
  const two = new Gateway(stack, 'Two', { models: [model], tiers: [tier], cloudWatchRole: false });
  expect(read(stack, one).config.models).toEqual(read(stack, two).config.models);
});
