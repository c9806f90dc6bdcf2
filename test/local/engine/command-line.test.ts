import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../../local/engine/command-line.ts';

describe('the command line of a vLLM container', () => {
  test('has defaults for all but the model', () => {
    expect(parseCommandLine(['Qwen/Qwen3-8B'])).toMatchObject({
      model: 'Qwen/Qwen3-8B',
      servedNames: ['Qwen/Qwen3-8B'],
      port: 8000,
      maxNumSeqs: 256,
      maxQueuedRequests: undefined,
      prefixCaching: true,
      priorityScheduling: false,
      shutdownTimeoutSeconds: 0,
    });
  });

  test('sets what shows from outside', () => {
    const settings = parseCommandLine([
      's3://weights/llama/',
      ...['--served-model-name', 'chat', 'chat-v2', '--port=9000', '--max-model-len', '32K', '--max-num-seqs', '8'],
      ...['--max-num-queued-reqs', '16', '--max-num-queued-tokens', '4k', '--num-gpu-blocks-override', '100'],
      ...['--no-enable-prefix-caching', '--scheduling-policy', 'priority', '--enable-auto-tool-choice'],
      ...['--tool-call-parser', 'hermes', '--enable-prompt-tokens-details', '--shutdown-timeout', '90'],
      ...['--load-format', 'runai_streamer', '--model-loader-extra-config', '{"concurrency":16}', '-tp', '4'],
      ...['--compilation-config.level', '3', '--max_num_batched_tokens', '4096'],
    ]);
    expect(settings).toMatchObject({
      model: 's3://weights/llama/',
      servedNames: ['chat', 'chat-v2'],
      port: 9000,
      maxModelLen: 32_768,
      maxNumSeqs: 8,
      maxNumBatchedTokens: 4096,
      maxQueuedRequests: 16,
      maxQueuedTokens: 4_000,
      kvBlocks: 100,
      prefixCaching: false,
      priorityScheduling: true,
      autoToolChoice: true,
      promptTokensDetails: true,
      shutdownTimeoutSeconds: 90,
    });
  });

  test.each([
    [['vllm', 'serve', 'm', '--port', '1']],
    [['serve', 'm', '--port', '1']],
    [['python3', '-m', 'vllm.entrypoints.openai.api_server', '--model', 'm', '--port', '1']],
  ])('is the same after the program itself: %j', (command) => {
    expect(parseCommandLine(command)).toMatchObject({ model: 'm', port: 1 });
  });

  test.each([
    [[], 'the following arguments are required: model_tag'],
    [['m', 'n'], 'unrecognized arguments: n'],
    [['m', '--max-model-length', '1'], 'unrecognized arguments: --max-model-length'],
    [['m', '--disable-log-requests'], 'unrecognized arguments: --disable-log-requests'],
    [['m', '--port'], 'argument --port: expected one argument'],
    [['m', '--port', '--max-num-seqs', '1'], 'argument --port: expected one argument'],
    [['m', '--port', 'http'], "argument --port: invalid value: 'http'"],
    [['m', '--enforce-eager=true'], "argument --enforce-eager: ignored explicit argument 'true'"],
    [['m', '--scheduling-policy', 'lifo'], "argument --scheduling-policy: invalid choice: 'lifo'"],
    [['m', '--gpu-memory-utilization', '92'], 'GPU memory utilization must be in (0, 1], not 92'],
    [['m', '--speculative-config', '{method}'], 'argument --speculative-config: Value {method} cannot be converted'],
    [['m', '--enable-auto-tool-choice'], 'requires --tool-call-parser'],
  ])('%j is refused', (command, message) => {
    expect(() => parseCommandLine(command)).toThrow(message);
  });
});
