import { describe, expect, test } from 'vitest';
import { parseOptions, USAGE, UsageError } from '../../../local/cli/options.ts';

test('without options the port is 4000, and the template decides', () => {
  expect(parseOptions([])).toMatchObject({ port: 4000, context: [], compute: undefined, quiet: false, realAws: false });
});

test.each([
  [['--port', '0'], { port: 0 }],
  [['--port=8080'], { port: 8080 }],
  [['-c', 'a=1', '--context', 'b=x=y'], { context: ['a=1', 'b=x=y'] }],
  [['--upstream', 'http://127.0.0.1:11434/v1', '--upstream-model', 'm'], { upstreamModel: 'm' }],
  [['--speed', '0.5'], { speed: 0.5 }],
  [['--compute', 'lambda'], { compute: { kind: 'lambda' } }],
  [['--compute', 'managed-instances'], { compute: { kind: 'managed-instances', concurrency: 64 } }],
  [['--compute=managed-instances:8'], { compute: { kind: 'managed-instances', concurrency: 8 } }],
  [['--assembly', 'cdk.out', '--quiet'], { assembly: 'cdk.out', quiet: true }],
])('%j', (args, expected) => {
  expect(parseOptions(args)).toMatchObject(expected);
});

describe('refuses', () => {
  test.each([
    [['--prot', '4000'], /--prot/],
    [['4000'], /4000/],
    [['--port'], /--port/],
    [['--port', 'http'], /--port http is no port/],
    [['--port', ''], /--port {2}is no port/],
    [['--port', '65536'], /--port 65536 is no port/],
    [['--port', '80.5'], /--port 80\.5 is no port/],
    [['--context', 'preset'], /--context preset is not KEY=VALUE/],
    [['--upstream', 'localhost:11434'], /--upstream localhost:11434 is no http or https URL/],
    [['--upstream', 'http://a', '--gguf', 'b'], /choose one model/],
    [['--assembly', 'x', '--app', 'y'], /synthesized already/],
    [['--assembly', 'x', '-c', 'a=b'], /synthesized already/],
    [['--speed', '0'], /--speed 0 is no factor/],
    [['--speed', ''], /--speed {2}is no factor/],
    [['--speed', 'fast'], /--speed fast is no factor/],
    [['--compute', 'gpu'], /--compute gpu/],
    [['--concurrency', '0'], /--concurrency 0/],
    [['--compute', 'managed-instances:0'], /--compute managed-instances:0/],
  ])('%j', (args, message) => {
    expect(() => parseOptions(args)).toThrow(UsageError);
    expect(() => parseOptions(args)).toThrow(message);
  });
});

test('the usage names every option', () => {
  for (const name of [
    'port',
    'upstream',
    'gguf',
    'context',
    'app',
    'assembly',
    'compute',
    'concurrency',
    'speed',
    'aws',
    'state',
    'quiet',
    'verbose',
    'help',
  ]) {
    expect(USAGE).toContain(`--${name}`);
  }
});
