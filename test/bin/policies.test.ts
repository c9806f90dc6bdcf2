import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { stackFromContext } from '../../bin/context.ts';
import { FallbackPolicy } from '../../lib/index.js';
import type { ServingConfig } from '../../lib/private/serving-config';

const BACKENDS = [
  { bedrock: 'amazon.nova-pro-v1:0', id: 'good' },
  { bedrock: 'amazon.nova-micro-v1:0', id: 'cheap' },
];

/** The model as the handler reads it, of a stack whose context is text as on the command line. */
function modelOf(policies: object) {
  const models = JSON.stringify([{ name: 'chat', backends: BACKENDS, ...policies }]);
  const app = new App({ context: { models } });
  const template = Template.fromStack(stackFromContext(app));
  const [fn] = Object.values(template.findResources('AWS::Lambda::Function', { Properties: { Timeout: 900 } }));
  const asset = `asset.${fn?.Properties.Code.S3Key.replace('.zip', '')}`;
  const config = JSON.parse(readFileSync(join(app.outdir, asset, 'serving-config.json'), 'utf8')) as ServingConfig;
  return config.models[0];
}

test('a fallback policy has every option', () => {
  const quality = {
    empty: false,
    contentFilter: false,
    invalidJson: false,
    schemaViolation: false,
    invalidToolArguments: false,
    repetition: false,
    truncation: true,
    patterns: ['^sorry'],
    holdBackCharacters: 40,
  };
  const fallback = {
    failOverOn: ['connection', 'timeout'],
    retryOn: ['overloaded'],
    retries: 2,
    retryBudget: 0.2,
    backoffSeconds: 0.05,
    maxRetryAfterSeconds: 3,
    firstTokenTimeoutSeconds: 8,
    hedgeAfterSeconds: 2,
    circuitBreaker: {
      windowSeconds: 60,
      minimumCalls: 4,
      failureRate: 0.25,
      consecutiveFailures: 2,
      openTimeSeconds: 1,
      maxOpenTimeSeconds: 9,
      slowFirstTokenSeconds: 5,
      skipTimeSeconds: 3,
    },
    quality,
    resumeStreams: false,
  };
  expect(modelOf({ fallback })?.fallback).toEqual({
    failOverOn: ['connection', 'timeout'],
    retryOn: ['overloaded'],
    retries: 2,
    retryBudget: 0.2,
    backoffBaseMs: 50,
    backoffMaxMs: 5000,
    maxRetryAfterMs: 3000,
    firstTokenMs: 8000,
    hedgeAfterMs: 2000,
    breaker: {
      windowMs: 60_000,
      minimumCalls: 4,
      failureRate: 0.25,
      consecutiveFailures: 2,
      openMs: 1000,
      maxOpenMs: 9000,
      slowFirstTokenMs: 5000,
      skipMs: 3000,
    },
    quality,
    resume: false,
  });
});

test('what a fallback policy leaves out is as in the standard one', () => {
  expect(modelOf({ fallback: {} })?.fallback).toEqual(FallbackPolicy.standard()._render());
  expect(modelOf({})?.routing).toBeUndefined();
});

test('a routing policy has every option, and names its backend by its id', () => {
  const routing = {
    cheap: 'cheap',
    clientPriority: false,
    simple: { maxPromptTokens: 10, maxTurns: 2, tools: true, jsonSchema: true, images: true, reasoning: true },
    rules: [
      {
        name: 'small-talk',
        route: 'cheap',
        patterns: ['^hi\\b'],
        features: ['chat'],
        tiers: ['standard'],
        consumers: ['alice'],
        metadata: { env: ['test'] },
      },
    ],
  };
  const [rule] = routing.rules;
  expect(modelOf({ routing })?.routing).toEqual({
    ...routing,
    rules: [{ ...rule, metadata: [{ key: 'env', values: ['test'] }] }],
  });
});

test.each<[object, string]>([
  [{ fallback: { retires: 1 } }, 'unknown key "retires" in models[0].fallback: expected one of failOverOn, '],
  [{ fallback: { retries: 9 } }, 'models[0].fallback: retries must be a whole number between 0 and 5, got 9'],
  [{ fallback: { failOverOn: ['rain'] } }, 'models[0].fallback.failOverOn[0] must be one of connection, '],
  [
    { fallback: { circuitBreaker: { openTimeSeconds: 'x' } } },
    'models[0].fallback.circuitBreaker.openTimeSeconds must be a number',
  ],
  [
    { fallback: { quality: { patterns: ['('] } } },
    'models[0].fallback: patterns has "(", which is no regular expression',
  ],
  [{ routing: {} }, 'models[0].routing.cheap is missing'],
  [
    { routing: { cheap: 'x' } },
    `models[0].routing.cheap must be the id of one of the model's backends (good, cheap), got "x"`,
  ],
  [{ routing: { cheap: 'good' } }, 'models[0]: the routing policy of model "chat" changes nothing'],
  [{ routing: { cheap: 'cheap', rules: [{ name: 'a' }] } }, 'models[0].routing.rules[0].route is missing'],
  [{ routing: { cheap: 'cheap', rules: [{ route: 'cheap' }] } }, 'models[0].routing.rules[0].name is missing'],
  [
    { routing: { cheap: 'cheap', rules: [{ name: 'a', route: 'cheap', patterns: ['(a+)+b'] }] } },
    'models[0].routing: routing rule "a": patterns has "(a+)+b", which a hostile text can keep busy',
  ],
  [
    { routing: { cheap: 'cheap', rules: [{ name: 'a', route: 'cheap', metadata: { env: 'test' } }] } },
    'models[0].routing.rules[0].metadata.env must be an array, got "test"',
  ],
])('%j is an error that names its place', (policies, message) => {
  expect(() => modelOf(policies)).toThrow(message);
});
