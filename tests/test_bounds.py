# ruff: noqa: E501 - the names of tests are sentences
"""Every bound in server and guest has a test that fills it: a table, which this test holds against the source.

A bound is a number whose name says how much or how long. One that is new stands here with its test, or among
those that bound nothing.
"""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

_BOUND = re.compile(
    "_?(MAX|LONGEST|LARGEST|SMALLEST)_[A-Z_]+|[A-Z_]+_(SECONDS|BYTES|ATTEMPTS|THREADS|BUFFER|LENGTHS)"
)

# Modules, with all constants that are bounds, and the test that fills each: FILE::TEST below tests/.
BOUNDS = {
    # What a definition may hold
    "checks._LONGEST_ADDRESS": "server/test_checks::the_longest_address_is_read_and_nothing_longer",
    "definition.defaults.MAX_DEFINITION": "server/definition/test_faults::a_file_and_its_user_data_have_a_largest_size",
    "definition.faults.MAX_FAULTS": "server/definition/test_faults::garbage_is_reported_in_a_bounded_number_of_lines",
    "userdata._MAX_LINE": "server/test_userdata::a_long_line_is_one_that_mail_does_not_take",
    "checks.MAX_USERDATA": "server/test_instance::user_data_is_as_long_as_a_line_can_carry_and_no_longer",
    "checks.TOKEN_LENGTHS": "server/test_checks::anything_else_is_no_token",
    "definition.fields.MAX_FILLED": "server/definition/test_fields::what_is_filled_in_has_a_largest_size",
    "definition.fields._MAX_NAMED": "server/definition/test_fields::of_many_fields_some_are_named",
    "definition.vms.MAX_PATTERNS": "server/definition/test_vms::names_may_be_many_and_patterns_few",
    "definition.defaults.MAX_CACHED": "server/definition/test_defaults::long_defaults_are_not_kept",
    "definition.strict_yaml.MAX_DEPTH": "server/definition/test_strict_yaml::aliases_may_not_nest_deeper_than_brackets_may",
    "definition.strict_yaml.MAX_VALUES": "server/definition/test_strict_yaml::aliases_may_not_stand_for_more_values_than_a_file_may_hold",
    "definition.strict_yaml.MAX_KEY": "server/definition/test_strict_yaml::what_is_wrong_is_said_with_its_line",
    "network.nics.MAX_NAMESERVERS": "server/network/test_nics::what_is_doubtful_about_a_card_is_said",
    "network.whole.MAX_DEPTH": "server/network/test_whole::what_nests_too_deep_is_a_fault",
    "writing.metadata._MAX_DIGITS": "server/writing/test_metadata::what_json_has_not_is_text",
    # What is checked before a VM boots
    "checking.cloudinit._MAX_KEPT": "server/checking/test_cloudinit::what_was_found_is_kept_for_so_many_values",
    "checking.definitions._MAX_KEPT": "server/checking/test_definitions::what_was_remarked_is_kept_for_so_many_user_data",
    "checking.definitions._MAX_REMARKS": "server/checking/test_definitions::of_many_remarks_the_first_are_told",
    "checking.names.LONGEST_NAME": "server/checking/test_names::a_name_that_no_vm_has_is_told_with_the_right_one",
    "checking.report.MAX_FOUND": "server/checking/test_report::of_more_than_anybody_reads_the_first_is_kept",
    "checking.report.MAX_RIVALS": "server/checking/test_report::patterns_beyond_a_thousand_are_not_compared",
    "checking.schema_words._MAX_CHOICES": "server/checking/test_cloudinit::a_long_list_of_what_a_value_may_be_is_not_told",
    "checking.userdata._MAX_LAYERS": "server/checking/test_userdata::what_is_packed_in_itself_is_not_unpacked_for_ever",
    "checking.userdata._MAX_PARTS": "server/checking/test_userdata::of_a_message_of_many_parts_the_first_are_looked_at",
    # What drivers keep, and how long they are waited for
    "drivers.definitions.CACHE_BYTES": "server/drivers/test_file::the_cache_is_bounded_and_forgets_what_was_asked_for_longest_ago",
    "drivers.cache.ENTRY_BYTES": "server/drivers/test_cache::what_was_used_longest_ago_goes_first",
    "drivers.cache.VALUE_BYTES": "server/drivers/test_cache::a_definition_that_is_kept_itself_takes_more_for_each_of_its_values",
    "drivers.complaints.MAX_COMPLAINTS": "server/drivers/test_complaints::names_that_are_made_up_push_out_what_was_said_longest_ago",
    "drivers.finding.MAX_NAMED": "server/drivers/test_finding::of_many_definitions_of_one_name_some_are_named",
    "drivers.tree.MAX_DIRECTORIES": "server/drivers/test_tree::there_is_a_limit_to_the_number_of_directories",
    "drivers.tree.MAX_DEPTH": "server/drivers/test_tree::what_is_too_deep_is_not_looked_into_and_said_once",
    "drivers.tree.LISTING_SECONDS": "server/drivers/test_tree::a_new_directory_is_found_within_seconds_by_who_has_a_definition_already",
    "drivers.reading.READ_ATTEMPTS": "server/drivers/test_file_faults::a_file_that_never_rests_is_not_served_torn",
    "drivers.index.REFRESH_SECONDS": "server/drivers/test_index_thread::the_thread_looks_again_by_itself_and_at_once_when_it_is_told",
    "drivers.index.FIRST_LOOK_SECONDS": "server/drivers/test_index_thread::who_would_wait_for_long_for_the_first_look_has_to_ask_again",
    "drivers.recent.AT_HAND_SECONDS": "server/drivers/test_recent::it_is_at_hand_for_a_second_from_the_question",
    "drivers.recent.RECENT_SECONDS": "server/drivers/test_recent::what_was_asked_for_lately_is_kept_and_the_rest_forgotten",
    "drivers.recent.RECENT_BYTES": "server/drivers/test_recent::what_is_kept_has_a_largest_size",
    "drivers.recent.SNAPSHOT_BYTES": "server/drivers/test_recent::what_is_kept_has_a_largest_size",
    "drivers.recent.NAME_BYTES": "server/drivers/test_recent::names_that_are_kept_have_a_largest_number",
    "drivers.index.MAX_TURNS": "server/drivers/test_index_changes::what_names_vms_is_looked_at_each_time_and_any_other_in_its_turn",
    "drivers.index.IDLE_SECONDS": "server/drivers/test_index_thread::when_nobody_asks_nothing_is_looked_at_and_the_next_question_waits_for_a_whole_look",
    "drivers.listing.MAX_FILES": "server/drivers/test_listing::more_than_it_holds_are_left_out",
    "drivers.index.MAX_LOOKS": "server/drivers/test_index::while_definitions_come_and_go_they_are_looked_at_a_few_times",
    "drivers.index.MAX_PATTERNS": "server/drivers/test_index::more_patterns_than_names_are_held_against_are_said_once",
    "drivers.index.MAX_NAMED": "server/drivers/test_index::of_a_crowd_that_claims_one_uuid_some_are_named",
    "drivers.index.MAX_LOGGED": "server/drivers/test_index::of_many_faults_some_are_logged_and_the_others_counted",
    "vspc.server.DRIVER_THREADS": "server/vspc/test_server_version2::a_driver_that_hangs_holds_up_no_vm_and_no_end_and_takes_no_more_threads",
    "vspc.session.DRIVER_SECONDS": "server/vspc/test_session_driver::a_guest_of_version_2_is_told_to_ask_again_and_is_answered_by_the_same_call",
    # What a connection may make the server hold
    "vspc.telnet.MAX_SUBOPTION": "server/vspc/test_telnet::a_suboption_over_the_limit_is_dropped_and_what_follows_is_whole",
    "vspc.events.MAX_LINE": "server/vspc/test_connection_data::a_line_over_the_limit_is_dropped_and_the_operator_hears_of_it_once",
    "vspc.connection.MAX_EARLY_DATA": "server/vspc/test_connection_data::early_data_is_bounded_and_its_beginning_is_kept",
    "vspc.connection.MAX_UNSENT_CONTROL": "server/vspc/test_connection_data::a_peer_that_reads_no_answers_is_cut_off",
    "vspc.connection.UUID_SECONDS": "server/vspc/test_connection::a_uuid_not_answered_for_two_seconds_is_absent",
    "vspc.tls.MAX_UNSENT": "server/vspc/test_tls::a_peer_that_does_not_read_what_it_asks_for_is_given_up",
    "vspc.protocol.OPENING_SECONDS": "server/vspc/test_protocol_transport::a_host_that_waits_for_the_server_is_spoken_to",
    "vspc.protocol.SEND_BUFFER": "server/vspc/test_protocol_unread::a_vm_that_does_not_read_holds_no_more_than_is_stated_however_much_it_asks",
    "vspc.server.RECEIVE_BUFFER": "server/vspc/test_server::a_flood_delays_no_other_vm",
    "vspc.session.MAX_AT_ONCE": "server/vspc/test_session_at_hand::many_packets_of_a_read_let_other_vms_have_their_turn",
    "vspc.session.MAX_WAITING_PACKETS": "server/vspc/test_session::packets_beyond_the_line_are_dropped",
    "vspc.session.LOG_SECONDS": "server/vspc/test_session::a_boot_is_one_line_of_the_log_however_often_the_guest_asks",
    "log.MAX_OUTCOMES": "server/test_log::nor_do_outcomes_that_are_made_up",
    "vspc.vm_client.MAX_UNKNOWN_CODES": "server/vspc/test_vm_client::a_vm_that_makes_up_codes_does_not_fill_the_log",
    "vspc.service_uri.MAX_LOGGED": "server/vspc/test_service_uri::what_may_be_a_token_is_not_logged",
    "vspc.admission.MAX_TOKENS": "server/vspc/test_admission::a_file_without_usable_tokens_is_a_sentence_that_quotes_none",
    "vspc.admission.REFUSAL_SECONDS": "server/vspc/test_admission::strangers_do_not_hide_that_the_limit_is_reached",
    "vspc.vmotion.VMOTION_SECONDS": "server/vspc/test_vmotion::what_is_over_the_time_limit_ends_and_nothing_else",
    "vspc.vmotion.MAX_ORPHANS": "server/vspc/test_vmotion::a_host_has_so_many_orphans_and_another_host_as_many",
    # Options of the server: fields of ServerOptions
    "max_connections": "server/vspc/test_server::connections_over_the_limit_are_refused_until_one_ends",
    "max_connections_per_address": "server/vspc/test_server::connections_over_the_limit_of_their_address_are_refused",
    "max_unsent": "server/vspc/test_protocol_unread::a_vm_that_does_not_read_holds_no_more_than_is_stated_however_much_it_asks",
    "unread_seconds": "server/vspc/test_protocol_unread::a_vm_that_asks_and_does_not_read_is_dropped_in_time_and_the_operator_told",
    "identify_seconds": "server/vspc/test_protocol::a_connection_that_does_not_say_which_vm_it_is_is_closed",
    "stop_seconds": "server/vspc/test_server_end::a_peer_that_does_not_read_does_not_keep_the_server",
    # Version 2
    "vspc.run.SNAPSHOT_SECONDS": "server/vspc/test_run::version_1_is_answered_from_a_snapshot_of_four_seconds",
    "vspc.run.RUN_SECONDS": "server/vspc/test_run::a_run_lasts_as_long_as_its_guest_asks",
    "vspc.run.FIRST_BOOT_SECONDS": "server/vspc/test_run_secrets::user_data_that_takes_longer_than_a_first_boot_waits_is_said_once",
    "vspc.run.MAX_RUN_SECONDS": "server/vspc/test_run_secrets::a_run_that_never_ends_is_another_one_after_a_while",
    "vspc.run.MAX_RETRY_SECONDS": "server/vspc/test_run::a_driver_that_takes_its_time_is_busy",
    "vspc.version2.MAX_PIECE": "server/vspc/test_version2::more_than_a_piece_is_not_given_at_once",
    "vspc.version2._MAX_CODE": "server/vspc/test_version2::the_longest_code_can_be_answered",
    "vspc.report.MAX_REPORT": "server/vspc/test_report::it_may_be_as_long_as_the_protocol_allows_and_no_longer",
    "vspc.report.MAX_SECONDS": "server/vspc/test_report::a_value_that_is_wrong_names_its_key_and_stays_unsaid",
    "vspc.report.MAX_RETRIES": "server/vspc/test_report::a_value_that_is_wrong_names_its_key_and_stays_unsaid",
    # The state directory
    "vspc.keeping.STATE_SECONDS": "server/vspc/test_keeping::a_disk_that_hangs_holds_up_the_vms_with_a_window_and_no_other",
    "vspc.keeping.MAX_WAITING_REPORTS": "server/vspc/test_keeping_reports::a_driver_that_takes_its_time_with_a_report_holds_up_no_guest_and_not_the_end",
    "vspc.keeping.MAX_WAITING_BYTES": "server/vspc/test_keeping_reports::reports_that_wait_for_the_driver_are_bounded_in_bytes",
    "vspc.keeping.REPORT_BYTES": "server/vspc/test_keeping_reports::reports_that_wait_for_the_driver_are_bounded_in_bytes",
    "vspc.keeping.MAX_REPORTS": "server/vspc/test_keeping_reports::a_guest_that_reports_without_end_is_a_line_now_and_then",
    "vspc.keeping.REPORTS_SECONDS": "server/vspc/test_keeping_reports::a_guest_that_reports_now_and_then_may_do_so_for_ever",
    "vspc.keeping.LOG_SECONDS": "server/vspc/test_keeping_reports::a_guest_that_reports_without_end_is_a_line_now_and_then",
    "state.records.MAX_RECORD": "server/state/test_records::a_record_of_more_than_its_size_is_not_written",
    "state.records.MAX_PLAIN_NAME": "server/state/test_records::a_long_name_ends_in_its_hash",
    "state.windows.MAX_WINDOWS": "server/state/test_windows::no_window_is_forgotten_to_make_room",
    "state.windows.MAX_VM_NAMES": "server/state/test_windows::the_last_names_of_vms_are_kept",
    "state.windows.MAX_VM_NAME": "server/state/test_windows::the_last_names_of_vms_are_kept",
    "state.reports.MAX_REPORTS": "server/state/test_reports::the_last_ones_of_each_vm_are_kept",
    "state.reports.MAX_VMS": "server/state/test_reports::of_too_many_vms_that_one_goes_that_was_silent_longest",
    "vspc.noting.MAX_UNKEPT_BYTES": "server/vspc/test_keeping_served::a_disk_that_hangs_holds_up_no_vm_and_no_memory",
    "vspc.noting.UNKEPT_BYTES": "server/vspc/test_keeping_served::a_disk_that_hangs_holds_up_no_vm_and_no_memory",
    "state.served.MAX_VMS": "server/state/test_served::of_too_many_vms_those_go_that_were_written_longest_ago",
    "state.served.MAX_UNCOUNTED": "server/state/test_served::of_too_many_vms_those_go_that_were_written_longest_ago",
    "state.served.MAX_TEXT": "server/state/test_served::of_a_long_document_etag_and_size_are_kept_and_all_of_the_longest_that_is",
    "state.served.MAX_LINES": "server/state/test_served::of_a_long_document_etag_and_size_are_kept_and_all_of_the_longest_that_is",
    "state.served.MAX_VM_NAME": "server/state/test_served::a_name_of_a_vm_that_is_somebody_s_joke_is_cut",
    # The guest
    "packet.MAX_LINE": "wire/test_packet::a_line_over_the_limit_is_dropped_counted_and_the_next_one_is_whole",
    "serialport.WRITE_SECONDS": "guest/test_serialport::a_stuck_port_does_not_hold_up_the_others",
    "serialport.REOPEN_SECONDS": "guest/test_serialport::a_port_that_hangs_up_is_opened_again_when_it_is_back",
    "dialogue.LONGEST_WAIT": "guest/test_dialogue::silence_is_waited_for_1_2_4_8_8_seconds",
    "dialogue.MAX_RUNS": "guest/test_dialogue_version2::what_changes_all_the_time_is_given_up",
    "client.PROGRESS_SECONDS": "guest/test_client::a_server_that_breaks_off_at_the_same_place_for_ever_is_given_up",
    "nics.DRIVER_SECONDS": "guest/test_nics::a_driver_that_never_comes_costs_ten_seconds_once",
    "nics.NAME_SECONDS": "guest/test_nics::a_udev_that_is_never_done_costs_five_seconds",
    "placeholders._MAX_NAME": "guest/test_placeholders::what_a_server_makes_up_does_not_fill_the_console",
    "placeholders._MAX_SENTENCES": "guest/test_placeholders::what_a_server_makes_up_does_not_fill_the_console",
    "network._MAX_NAMED": "guest/test_network::what_a_server_has_made_up_is_no_long_line_when_it_does_not_fit_any_more",
    "config.LONGEST_TIMEOUT": "guest/test_config::a_fault_is_a_sentence_with_file_and_line_and_no_other_line_suffers",
    "pieces.SMALLEST_SIZE": "guest/test_pieces::a_size_doubles_up_to_16_384_and_halves_down_to_256",
    "pieces.LARGEST_SIZE": "guest/test_pieces::a_size_doubles_up_to_16_384_and_halves_down_to_256",
    "pieces.MAX_DOCUMENT": "guest/test_pieces::a_document_that_is_too_large_is_refused_with_its_first_piece",
    "pieces.MAX_MISFITS": "guest/test_pieces::a_whole_of_another_etag_begins_anew_a_few_times",
    "client.FEW_BYTES": "guest/test_client::of_one_that_arrives_fast_nothing_is",
    "serialport.GATHER_SECONDS": "guest/test_serialport::what_comes_in_a_moment_is_gathered_into_one_read_if_that_is_wanted",
    "version2.MAX_SENTENCE": "guest/test_version2::a_server_s_sentence_is_bounded",
    "version2.MAX_RETRY": "guest/test_version2::a_busy_server_has_a_say_for_half_a_minute_at_most",
    "report.MAX_LINE": "guest/test_report::noise_is_no_acknowledgement",
    "report.REPEAT_SECONDS": "guest/test_report::without_an_acknowledgement_it_goes_out_again_each_second_until_the_time_is_up",
    "reports.MAX_REPORT": "guest/test_reports::whatever_is_in_it_a_report_is_no_larger_than_the_wire_takes",
    "reports.MAX_ERRORS": "guest/test_reports::of_many_errors_the_first_ten_are_told",
    "cloudinit_result.LONGEST_STAGE": "guest/test_cloudinit_result::a_stage_in_which_the_clock_was_set_or_that_has_no_times_takes_no_seconds",
    "fetch.REPORT_SECONDS": "guest/test_fetch_reports::a_report_that_nobody_acknowledges_is_kept_and_the_boot_goes_on",
    "after_boot.REPORT_SECONDS": "guest/test_after_boot::a_port_that_another_program_keeps_is_waited_for_and_the_report_kept",
}

# They look like bounds, and are times or sizes that nobody can exceed.
OTHERS = {
    "drivers.finding.CHANGING_SECONDS",
    "drivers.tree.AWAY_SECONDS",
    "state.served.DIGEST_BYTES",
    "state.served.KEY_BYTES",
    "vspc.keeping.RETRY_SECONDS",
    "vspc.run.RETRY_SECONDS",
    "vspc.session.RETRY_SECONDS",
    "vspc.vmotion.SECRET_BYTES",
}

# The simulator is a tool for tests, and the demo is one run.
NOT_LOOKED_AT = {"simulator", "cli"}


def bounds_in_the_source() -> set[str]:
    found = set()
    for package in ("server/vmw_cloudinit_metadata", "guest/vmw_cloudinit_guest", "guest/vmw_cloudinit_wire"):
        for path in (REPOSITORY / package).rglob("*.py"):
            module = ".".join(path.relative_to(REPOSITORY / package).with_suffix("").parts)
            if module.partition(".")[0] not in NOT_LOOKED_AT:
                found |= {f"{module}.{name}" for name in constants(path) if _BOUND.fullmatch(name)}
    return found


def constants(path: Path) -> list[str]:
    statements = ast.parse(path.read_text()).body
    assigned = [target for each in statements if isinstance(each, ast.Assign) for target in each.targets]
    assigned += [each.target for each in statements if isinstance(each, ast.AnnAssign)]
    return [target.id for target in assigned if isinstance(target, ast.Name)]


def test_every_bound_has_a_test_that_fills_it() -> None:
    in_the_table = {name for name in BOUNDS if "." in name}
    assert bounds_in_the_source() == in_the_table | OTHERS


def test_the_tests_of_the_table_are_there() -> None:
    for bound, test in BOUNDS.items():
        file, _, name = test.partition("::")
        text = (REPOSITORY / "tests" / f"{file}.py").read_text()
        assert re.search(rf"def test_{name}\(", text), bound
