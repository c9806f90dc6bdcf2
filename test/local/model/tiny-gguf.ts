import { writeFileSync } from 'node:fs';
import { seededRandom } from '../../../local/model/pace.ts';

/**
 * Writes a GGUF file with a llama of some 30,000 random weights and a vocabulary of bytes: it says nothing that means
 * anything, but it is loaded and run by llama.cpp as any model is. Layout: ggml's `docs/gguf.md`, version 3.
 */
export function writeTinyGguf(path: string): void {
  const tokens = ['<unk>', '<s>', '</s>', ...Array.from({ length: 256 }, (_, byte) => `<0x${hex(byte)}>`)];
  const metadata: [string, Buffer][] = [
    ['general.architecture', string('llama')],
    ['general.name', string('tiny')],
    ['general.alignment', uint32(ALIGNMENT)],
    ['llama.context_length', uint32(1_024)],
    ['llama.embedding_length', uint32(WIDTH)],
    ['llama.block_count', uint32(1)],
    ['llama.feed_forward_length', uint32(2 * WIDTH)],
    ['llama.attention.head_count', uint32(2)],
    ['llama.attention.head_count_kv', uint32(2)],
    ['llama.attention.layer_norm_rms_epsilon', float32(1e-5)],
    ['llama.rope.dimension_count', uint32(WIDTH / 2)],
    ['llama.vocab_size', uint32(tokens.length)],
    ['tokenizer.ggml.model', string('llama')],
    ['tokenizer.ggml.tokens', array(TYPE.string, tokens.map(text))],
    [
      'tokenizer.ggml.scores',
      array(
        TYPE.float32,
        tokens.map(() => floats([0])),
      ),
    ],
    // 2 unknown, 3 control, 6 byte
    [
      'tokenizer.ggml.token_type',
      array(
        TYPE.int32,
        tokens.map((_, i) => int32(i === 0 ? 2 : i < 3 ? 3 : 6)),
      ),
    ],
    ['tokenizer.ggml.unknown_token_id', uint32(0)],
    ['tokenizer.ggml.bos_token_id', uint32(1)],
    ['tokenizer.ggml.eos_token_id', uint32(2)],
    [
      'tokenizer.chat_template',
      string("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"),
    ],
  ];
  const random = seededRandom(7);
  const matrix = (...shape: number[]): Tensor => ({
    shape,
    data: floats(Array.from({ length: shape.reduce((a, b) => a * b) }, () => (random() - 0.5) * 0.4)),
  });
  const ones = (length: number): Tensor => ({ shape: [length], data: floats(Array.from({ length }, () => 1)) });
  const tensors: [string, Tensor][] = [
    ['token_embd.weight', matrix(WIDTH, tokens.length)],
    ['output_norm.weight', ones(WIDTH)],
    ['output.weight', matrix(WIDTH, tokens.length)],
    ['blk.0.attn_norm.weight', ones(WIDTH)],
    ...['attn_q', 'attn_k', 'attn_v', 'attn_output'].map((name): [string, Tensor] => [
      `blk.0.${name}.weight`,
      matrix(WIDTH, WIDTH),
    ]),
    ['blk.0.ffn_norm.weight', ones(WIDTH)],
    ['blk.0.ffn_gate.weight', matrix(WIDTH, 2 * WIDTH)],
    ['blk.0.ffn_up.weight', matrix(WIDTH, 2 * WIDTH)],
    ['blk.0.ffn_down.weight', matrix(2 * WIDTH, WIDTH)],
  ];
  let offset = 0;
  const infos = tensors.map(([name, { shape, data }]) => {
    const info = [text(name), int32(shape.length), ...shape.map(uint64), int32(TENSOR_F32), uint64(offset)];
    offset += padded(data.length);
    return Buffer.concat(info);
  });
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    int32(3),
    uint64(tensors.length),
    uint64(metadata.length),
    ...metadata.map(([key, value]) => Buffer.concat([text(key), value])),
    ...infos,
  ]);
  writeFileSync(path, Buffer.concat([pad(head), ...tensors.map(([, { data }]) => pad(data))]));
}

interface Tensor {
  readonly shape: readonly number[];
  readonly data: Buffer;
}

const WIDTH = 32;
const ALIGNMENT = 32;
const TENSOR_F32 = 0;
const TYPE = { uint32: 4, int32: 5, float32: 6, string: 8, array: 9 } as const;

const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0');
const padded = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;
const pad = (buffer: Buffer): Buffer => Buffer.concat([buffer, Buffer.alloc(padded(buffer.length) - buffer.length)]);
const floats = (values: readonly number[]): Buffer => Buffer.from(Float32Array.from(values).buffer);
const int32 = (value: number): Buffer => Buffer.from(Int32Array.of(value).buffer);
const uint64 = (value: number): Buffer => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const text = (value: string): Buffer => Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)]);
const typed = (type: number, value: Buffer): Buffer => Buffer.concat([int32(type), value]);
const string = (value: string): Buffer => typed(TYPE.string, text(value));
const uint32 = (value: number): Buffer => typed(TYPE.uint32, int32(value));
const float32 = (value: number): Buffer => typed(TYPE.float32, floats([value]));
const array = (type: number, items: readonly Buffer[]): Buffer =>
  typed(TYPE.array, Buffer.concat([int32(type), uint64(items.length), ...items]));
