import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const FOLDER = fileURLToPath(new URL('../gguf/', import.meta.url));

/**
 * llama.cpp's Node binding, from a folder of its own with its own lock: some 100 MB that only `--gguf` needs. Installed
 * when it isn't there.
 */
export async function loadLlamaCpp(): Promise<LlamaModule> {
  if (!isLlamaCppInstalled()) {
    console.log(`installing llama.cpp into ${FOLDER} (once, some 100 MB)`);
    await install();
  }
  const entry = createRequire(join(FOLDER, 'package.json')).resolve('node-llama-cpp');
  return (await import(pathToFileURL(entry).href)) as LlamaModule;
}

export const isLlamaCppInstalled = (): boolean => existsSync(join(FOLDER, 'node_modules/node-llama-cpp/package.json'));

function install(): Promise<void> {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  // The workspace's settings would put the packages into the root's node_modules.
  const args = ['ci', '--no-workspaces', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  return new Promise((resolve, reject) => {
    const child = spawn(npm, args, { cwd: FOLDER, stdio: 'inherit', shell: process.platform === 'win32' });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`llama.cpp could not be installed: run "npm ${args.join(' ')}" in ${FOLDER}`));
    });
  });
}

/** The parts of node-llama-cpp that are used; its own types are there only once it is installed. */
export interface LlamaModule {
  getLlama(options: object): Promise<Llama>;
  LlamaChat: new (options: { contextSequence: LlamaSequence }) => LlamaChat;
}

export interface Llama {
  loadModel(options: { modelPath: string }): Promise<LlamaModel>;
  createGrammarForJsonSchema(schema: object): Promise<object>;
  dispose(): Promise<void>;
}

export interface LlamaModel {
  readonly trainContextSize: number;
  createContext(options: object): Promise<{ getSequence(): LlamaSequence }>;
}

export interface LlamaSequence {
  /** How many tokens it holds, of prompt and answer. */
  readonly nextTokenIndex: number;
  readonly tokenMeter: {
    getState(): object;
    diff(before: object): { readonly usedInputTokens: number; readonly usedOutputTokens: number };
  };
}

export interface LlamaChat {
  generateResponse(
    history: readonly LlamaHistoryItem[],
    options: object,
  ): Promise<{
    readonly functionCalls?: readonly { readonly functionName: string; readonly params: unknown }[];
    readonly metadata: { readonly stopReason: string };
  }>;
  dispose(options?: { disposeSequence?: boolean }): void;
}

export type LlamaHistoryItem =
  | { readonly type: 'system' | 'user'; readonly text: string }
  | { readonly type: 'model'; readonly response: (string | LlamaFunctionCall)[] };

export interface LlamaFunctionCall {
  readonly type: 'functionCall';
  readonly name: string;
  readonly params: unknown;
  result: unknown;
}
