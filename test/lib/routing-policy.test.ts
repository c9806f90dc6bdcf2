import { App, Stack } from 'aws-cdk-lib';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { Backend, Model, RouteTarget, RoutingPolicy, type RoutingPolicyOptions, TokenPrice } from '../../lib';
import { newStack, synthesize } from './fixture.ts';

const cheap = Backend.bedrock('amazon.nova-micro-v1:0');
const good = Backend.bedrock('amazon.nova-pro-v1:0');
const sorry = Backend.staticReply('sorry');
const CHEAP = 'bedrock-amazon-nova-micro-v1-0';

const rendered = (routing: RoutingPolicy) =>
  synthesize({}, (stack) => ({ models: [new Model(stack, 'Chat', { backends: [good, cheap], routing })] })).config
    .models[0]?.routing;

test('a policy needs no more than the cheap backend', () => {
  expect(rendered(RoutingPolicy.of({ cheap }))).toEqual({
    cheap: CHEAP,
    clientPriority: true,
    simple: { maxPromptTokens: 1000, maxTurns: 4, tools: false, jsonSchema: false, images: false, reasoning: false },
    rules: [],
  });
});

test('every option reaches the handler', () => {
  const routing = RoutingPolicy.of({
    cheap,
    clientPriority: false,
    simple: { maxPromptTokens: 0, maxTurns: 2, tools: true, jsonSchema: true, images: true, reasoning: true },
    rules: [
      {
        name: 'small-talk',
        route: RouteTarget.CHEAP,
        patterns: ['^hi\\b'],
        features: ['chat'],
        tiers: ['standard'],
        consumers: ['alice'],
        // The contract replaces an object with this one key by an environment variable.
        metadata: { env: ['test', 'dev'] },
      },
    ],
  });
  expect(rendered(routing)).toEqual({
    cheap: CHEAP,
    clientPriority: false,
    simple: { maxPromptTokens: 0, maxTurns: 2, tools: true, jsonSchema: true, images: true, reasoning: true },
    rules: [
      {
        name: 'small-talk',
        route: 'cheap',
        patterns: ['^hi\\b'],
        features: ['chat'],
        tiers: ['standard'],
        consumers: ['alice'],
        metadata: [{ key: 'env', values: ['test', 'dev'] }],
      },
    ],
  });
});

const rule = { name: 'a', route: RouteTarget.CHEAP };
test.each<[Partial<RoutingPolicyOptions>, RegExp]>([
  [{ simple: { maxPromptTokens: -1 } }, /^maxPromptTokens must be a whole number of at least 0, got -1/],
  [{ simple: { maxTurns: 0 } }, /^maxTurns must be a whole number of at least 1, got 0/],
  [{ rules: [{ ...rule, name: 'Small talk', tiers: ['x'] }] }, /^a routing rule's name must be .* got "Small talk"/],
  [{ rules: [rule] }, /^routing rule "a" has no condition/],
  [{ rules: [{ ...rule, metadata: {} }] }, /^routing rule "a" has no condition/],
  [{ rules: [{ ...rule, tiers: [] }] }, /^routing rule "a": tiers is empty/],
  [{ rules: [{ ...rule, metadata: { patterns: [] } }] }, /^routing rule "a": metadata.patterns is empty/],
  [{ rules: [{ ...rule, patterns: ['('] }] }, /^routing rule "a": patterns has "\(", which is no regular expression/],
  [{ rules: [{ ...rule, patterns: ['x*'] }] }, /^routing rule "a": patterns has "x\*", which matches every text/],
  [{ rules: [{ ...rule, patterns: ['(a+)+b'] }] }, /^routing rule "a": patterns has .* hostile text/],
  [
    {
      rules: [
        { ...rule, tiers: ['x'] },
        { ...rule, tiers: ['y'] },
      ],
    },
    /^the names of the routing rules must not repeat/,
  ],
  [
    { rules: Array.from({ length: 21 }, (_, i) => ({ ...rule, name: `r${i}`, tiers: ['x'] })) },
    /^rules must be at most 20, got 21/,
  ],
])('refuses %j', (options, message) => {
  expect(() => RoutingPolicy.of({ cheap, ...options })).toThrow(message);
});

test.each([
  [[good, sorry], cheap, /which is none of its backends \(bedrock-amazon-nova-pro-v1-0, static-reply-/],
  [[cheap, good], cheap, /changes nothing: "bedrock-amazon-nova-micro-v1-0" is the first backend anyway/],
  [[sorry, cheap, good], cheap, /changes nothing/],
  [[good, sorry], sorry, /a fixed reply: name a backend with a model/],
])("refuses a policy that isn't about the model's backends", (backends, to, message) => {
  const routing = RoutingPolicy.of({ cheap: to });
  expect(() => new Model(newStack(), 'Chat', { backends, routing })).toThrow(message);
});

test('warns of a cheap backend that is none', () => {
  const stack = new Stack(new App(), 'Test');
  const dear = Backend.openAiCompatible('https://a.example/v1', {
    price: TokenPrice.perMillion({ inputUsd: 100, outputUsd: 100 }),
  });
  new Model(stack, 'Chat', { backends: [good, dear], routing: RoutingPolicy.of({ cheap: dear }) });
  new Model(stack, 'Fine', { backends: [good, cheap], routing: RoutingPolicy.of({ cheap }) });
  Annotations.fromStack(stack).hasWarning('/Test/Chat', Match.stringLikeRegexp('saves nothing'));
  Annotations.fromStack(stack).hasNoWarning('/Test/Fine', Match.anyValue());
});

test('refuses a rule about a tier that the gateway does not have', () => {
  const routing = RoutingPolicy.of({ cheap, rules: [{ ...rule, tiers: ['standard', 'gold'] }] });
  expect(() => rendered(routing)).toThrow(
    /routing rule "a" of model "chat" is about tier "gold", which this gateway doesn't have/,
  );
});
