/**
 * A stand-in for model providers, on loopback: speaks the wire formats of OpenAI and Anthropic, in one piece and as a stream,
 * and misbehaves as it is told. It makes no text of its own: it says the words it was given.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** What the next answers are like. */
export interface Manner {
  words: readonly string[];
  input: number;
  cached: number;
  output: number;
  /** Instead of the usage that would be right. */
  usage?: unknown;
  /** Instead of an answer. */
  error?: { readonly status: number; readonly body: object };
  /** Answers only then. */
  waits?: Promise<void>;
  /** Says nothing, ever. */
  isSilent?: boolean;
  /** Of a stream: breaks off behind so many words. */
  breaksAfter?: number;
  /** Of a stream: waits for this behind each word. */
  pace?: (word: number) => Promise<void>;
}

export const USUAL: Manner = { words: ['Hello', ' ', 'wörld', '.'], input: 1_000, cached: 200, output: 50 };

export class StandInProvider implements AsyncDisposable {
  readonly seen: Seen[] = [];
  /** Called at each request. */
  heard: () => void = () => undefined;
  /** Calls whose caller went away before the end. */
  broken = 0;
  manner: Manner = { ...USUAL };
  readonly #server = createServer(
    { keepAliveTimeout: 65_000 },
    (request, response) => void this.#serve(request, response),
  );

  static async open(): Promise<StandInProvider> {
    const provider = new StandInProvider();
    provider.#server.listen(0, '127.0.0.1');
    await once(provider.#server, 'listening');
    return provider;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString('utf8');
    const { method = '', url: path = '', headers } = request;
    this.seen.push({ method, path, headers, body });
    this.heard();
    response.on('close', () => {
      if (!response.writableFinished) this.broken += 1;
    });
    const { error, isSilent, waits } = this.manner;
    if (isSilent === true) return;
    await waits;
    if (error !== undefined) return json(response, error.status, error.body);
    const asked =
      body === ''
        ? {}
        : (JSON.parse(body) as {
            readonly stream?: boolean;
            readonly stream_options?: { readonly include_usage?: boolean };
          });
    switch (path.split('?')[0]) {
      case '/v1/chat/completions':
        return asked.stream === true
          ? await this.#stream(response, this.#chatEvents(asked.stream_options?.include_usage === true))
          : json(response, 200, this.#chat());
      case '/v1/responses':
        return asked.stream === true
          ? await this.#stream(response, this.#responseEvents())
          : json(response, 200, this.#response());
      case '/v1/embeddings':
        return json(response, 200, {
          object: 'list',
          model: 'vector-1',
          data: [{ object: 'embedding', index: 0, embedding: [0.1, 0.2] }],
          usage: this.manner.usage ?? { prompt_tokens: this.manner.input, total_tokens: this.manner.input },
        });
      case '/v1/messages':
        return asked.stream === true
          ? await this.#stream(response, this.#messageEvents())
          : json(response, 200, this.#message());
      case '/v1/models':
        return json(response, 200, {
          object: 'list',
          data: [{ id: 'large-1', object: 'model', created: 0, owned_by: 'nobody' }],
        });
      default:
        return json(response, 404, { error: { message: 'no such path' } });
    }
  }

  async #stream(
    response: ServerResponse,
    events: readonly (readonly [text: string, isWord: boolean])[],
  ): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    const { breaksAfter = Number.POSITIVE_INFINITY, pace } = this.manner;
    let words = 0;
    for (const [text, isWord] of events) {
      if (response.destroyed) return;
      // What is not flushed yet would be lost with the socket.
      await new Promise<void>((flushed) => void response.write(text, () => flushed()));
      if (!isWord) continue;
      words += 1;
      await pace?.(words);
      if (words >= breaksAfter) return void response.destroy();
    }
    response.end();
  }

  #chat(): object {
    return {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1,
      model: 'large-1',
      choices: [{ index: 0, message: { role: 'assistant', content: this.#text }, finish_reason: 'stop' }],
      usage: this.#chatUsage(),
    };
  }

  #chatEvents(isUsageAsked: boolean): [string, boolean][] {
    const base = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'large-1' };
    const more = isUsageAsked ? { usage: null } : {};
    const chunk = (delta: object, finish: string | null): string =>
      data({ ...base, choices: [{ index: 0, delta, finish_reason: finish }], ...more });
    return [
      [chunk({ role: 'assistant', content: '' }, null), false],
      ...this.manner.words.map((content): [string, boolean] => [chunk({ content }, null), true]),
      [chunk({}, 'stop'), false],
      ...(isUsageAsked
        ? [[data({ ...base, choices: [], usage: this.#chatUsage() }), false] as [string, boolean]]
        : []),
      ['data: [DONE]\n\n', false],
    ];
  }

  #chatUsage(): unknown {
    const { usage, input, cached, output } = this.manner;
    if (usage !== undefined) return usage;
    return {
      prompt_tokens: input + cached,
      completion_tokens: output,
      total_tokens: input + cached + output,
      prompt_tokens_details: { cached_tokens: cached },
    };
  }

  #response(): object {
    const { usage, input, cached, output } = this.manner;
    return {
      id: 'resp_1',
      object: 'response',
      created_at: 1,
      status: 'completed',
      model: 'large-1',
      output: [
        {
          type: 'message',
          id: 'msg_1',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: this.#text, annotations: [] }],
        },
      ],
      usage: usage ?? {
        input_tokens: input + cached,
        input_tokens_details: { cached_tokens: cached },
        output_tokens: output,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: input + cached + output,
      },
    };
  }

  #responseEvents(): [string, boolean][] {
    const named = (event: { readonly type: string; readonly [field: string]: unknown }): string =>
      `event: ${event.type}\n${data(event)}`;
    return [
      [
        named({ type: 'response.created', response: { id: 'resp_1', status: 'in_progress', usage: null } }),
        false,
      ],
      ...this.manner.words.map((delta): [string, boolean] => [
        named({
          type: 'response.output_text.delta',
          item_id: 'msg_1',
          output_index: 0,
          content_index: 0,
          delta,
        }),
        true,
      ]),
      [named({ type: 'response.completed', response: this.#response() }), false],
    ];
  }

  #message(): object {
    const { usage, input, cached, output } = this.manner;
    return {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'poet-4',
      content: [{ type: 'text', text: this.#text }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: usage ?? {
        input_tokens: input,
        cache_read_input_tokens: cached,
        cache_creation_input_tokens: 70,
        cache_creation: { ephemeral_5m_input_tokens: 40, ephemeral_1h_input_tokens: 30 },
        output_tokens: output,
      },
    };
  }

  #messageEvents(): [string, boolean][] {
    const { usage, input, cached, output } = this.manner;
    const named = (event: { readonly type: string; readonly [field: string]: unknown }): string =>
      `event: ${event.type}\n${data(event)}`;
    const begun = {
      input_tokens: input,
      cache_read_input_tokens: cached,
      cache_creation_input_tokens: 0,
      output_tokens: 1,
    };
    return [
      [named({ type: 'message_start', message: { ...this.#message(), content: [], usage: begun } }), false],
      [named({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }), false],
      [named({ type: 'ping' }), false],
      ...this.manner.words.map((text): [string, boolean] => [
        named({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
        true,
      ]),
      [named({ type: 'content_block_stop', index: 0 }), false],
      [
        named({
          type: 'message_delta',
          delta: { stop_reason: 'end_turn', stop_sequence: null },
          usage: usage ?? { output_tokens: output },
        }),
        false,
      ],
      [named({ type: 'message_stop' }), false],
    ];
  }

  get #text(): string {
    return this.manner.words.join('');
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'set-cookie': 'of=provider',
    'x-request-id': 'req_1',
  });
  response.end(JSON.stringify(body));
}

function data(event: object): string {
  return `data: ${JSON.stringify(event)}\n\n`;
}
