/** What goes wrong at the MCP door. */
import { errorKinds } from '#schemas/fabric-error';

export const mcpErrors = errorKinds({
  mcp_unknown_tool: { retryable: false, help: 'tools/list names every tool.' },
  mcp_bad_arguments: {
    retryable: false,
    help: 'Correct the arguments that are named; tools/list has their schema.',
  },
  mcp_unknown_resource: {
    retryable: false,
    help: 'Read infrafabric://board, infrafabric://task/ID or infrafabric://session/ID.',
  },
  mcp_outside_root: {
    retryable: false,
    help: 'Artifacts lie below the folder that the server was started with (--root); give a path relative to it.',
  },
  mcp_other_hash: {
    retryable: false,
    help: 'Leave `sha256` out: it is computed from the file. Or hand in the file that has it.',
  },
  mcp_no_file: { retryable: false, help: 'Write the file before naming it as an artifact.' },
  mcp_other_question: {
    retryable: false,
    help: 'Leave `id` out: one is made up. Or ask under an id that nobody has used.',
  },
  mcp_port_busy: { retryable: false, help: 'Another process has the port: choose another, or leave it out.' },
  mcp_bad_session: { retryable: false, help: 'Say who you are: --as session/NAME.' },
});
