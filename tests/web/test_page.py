"""The chat page in a real browser."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from web.conftest import answered, say
from web.scripted import Script, application, running


def test_a_first_chat(page: Any, script: Script):
    say(page, "Hello?")
    assert answered(page) == "Hello from the script."
    asked = script.asked[-1]
    assert asked["messages"] == [{"role": "user", "content": "Hello?"}]
    assert (asked["stream"], asked["model"]) == (True, "tiny")
    assert page.inner_text(".sidebar li.current") == "Hello?"
    assert "25 of 4,096 tokens" in page.inner_text(".meter")
    assert "tokens/s" in page.inner_text(".speed")
    say(page, "And now?")
    expect(page.locator(".turn.assistant footer")).to_have_count(2)
    assert [message["role"] for message in script.asked[-1]["messages"]] == ["user", "assistant", "user"]


def test_escape_leaves_what_has_the_focus_before_it_stops_an_answer(page: Any, script: Script):
    say(page, "A first question")
    answered(page)
    script.words, script.pause = ["word "] * 500, 0.02
    say(page, "Go on for ever")
    page.wait_for_selector(".turn.assistant:last-child .text")
    page.hover(".sidebar li")
    page.click(".sidebar li button[aria-label^='Rename']")
    page.press(".naming", "Escape")
    page.keyboard.press("Control+k")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("first")
    page.keyboard.press("Escape")
    expect(page.locator("#search")).to_have_value("")
    page.focus("#composer")
    page.evaluate(
        "document.activeElement.dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'Escape', bubbles: true, isComposing: true}))"
    )
    page.wait_for_timeout(200)
    assert page.locator(".remark.stopped").count() == 0, "still being written"
    page.keyboard.press("Escape")
    page.wait_for_selector(".remark.stopped")


def test_stopping_keeps_what_was_written_and_frees_the_server(page: Any, script: Script):
    script.words, script.pause = ["word "] * 500, 0.02
    say(page, "Go on for ever")
    page.wait_for_selector(".turn.assistant .text")
    page.keyboard.press("Escape")
    page.wait_for_selector(".remark.stopped")
    assert answered(page).startswith("word")
    page.wait_for_timeout(200)
    assert script.left == 1
    script.words, script.pause = [" and", " on."], 0
    page.click(".remark button")
    page.wait_for_selector(".remark", state="detached")
    assert answered(page).endswith("and on.")
    asked = script.asked[-1]
    assert asked["messages"][-1]["role"] == "assistant"
    assert asked["continue_final_message"] is True


def test_regenerating_opens_a_branch(page: Any, script: Script):
    say(page, "Question")
    answered(page)
    script.words = ["Another", " answer."]
    page.click(".turn.assistant button[aria-label='Answer again']")
    page.wait_for_selector(".versions")
    assert answered(page) == "Another answer."
    assert page.inner_text(".turn.assistant .versions") == "2 / 2"
    page.click(".turn.assistant button[aria-label='Previous version']")
    assert answered(page) == "Hello from the script."


def test_editing_a_question_opens_a_branch_and_loses_nothing(page: Any, script: Script):
    say(page, "First wording")
    answered(page)
    say(page, "Second question")
    expect(page.locator(".turn.assistant footer")).to_have_count(2)
    page.hover(".turn.user:first-child")
    page.click(".turn.user:first-child button[aria-label='Edit']")
    page.fill(".editor textarea", "Better wording")
    page.press(".editor textarea", "Enter")
    expect(page.locator(".turn")).to_have_count(2)
    answered(page)
    assert script.asked[-1]["messages"] == [{"role": "user", "content": "Better wording"}]
    page.click(".turn.user button[aria-label='Previous version']")
    assert page.locator(".turn").count() == 4
    expect(page.locator(".turn.user:first-child .question")).to_have_text("First wording")


def test_a_reload_keeps_the_conversation(page: Any):
    say(page, "Remember me")
    answered(page)
    page.wait_for_timeout(900)
    page.reload()
    assert answered(page) == "Hello from the script."
    assert page.inner_text(".question") == "Remember me"


def test_two_tabs_see_the_same_conversations(page: Any, context: Any, address: str):
    second = context.new_page()
    second.goto(address)
    second.wait_for_selector("#composer")
    say(page, "Said in the first tab")
    answered(page)
    second.click(".entry")
    expect(second.locator(".turn.assistant .text")).to_have_text("Hello from the script.")
    say(second, "And in the second")
    expect(page.locator(".turn.assistant footer")).to_have_count(2)
    page.hover(".sidebar li")
    page.click(".sidebar li button[aria-label^='Delete']")
    expect(second.locator(".sidebar li")).to_have_count(0)


def test_two_tabs_that_write_one_conversation_lose_nothing(page: Any, context: Any, address: str, script: Script):
    say(page, "A beginning")
    answered(page)
    second = context.new_page()
    second.goto(page.url)
    script.words, script.pause = ["word "] * 40, 0.03
    say(page, "From the first")
    say(second, "From the second")
    page.wait_for_selector(".turn.assistant:last-child footer")
    second.wait_for_selector(".turn.assistant:last-child footer")
    second.wait_for_timeout(500)
    fresh = context.new_page()
    fresh.goto(page.url)
    fresh.wait_for_selector(".turn.assistant")
    with fresh.expect_download() as download:
        fresh.click("text=Export all (JSON)")
    turns = json.loads(download.value.path().read_text())["conversations"][0]["turns"].values()
    assert {"From the first", "From the second"} <= {turn["text"] for turn in turns}
    assert [turn["text"] for turn in turns].count("word " * 40) == 2


def test_conversations_are_renamed_found_deleted_and_brought_back(page: Any):
    for text in ("Bread for Sunday", "The planet Neptune"):
        page.click(".new")
        say(page, text)
        answered(page)
    page.fill("#search", "neptune SCRIPT")
    assert page.locator(".sidebar li").all_inner_texts() == ["The planet Neptune"]
    page.fill("#search", "no such words")
    assert "Nothing found" in page.inner_text(".sidebar ul")
    page.fill("#search", "")
    page.hover(".sidebar li:last-child")
    page.click(".sidebar li:last-child button[aria-label^='Rename']")
    page.fill(".naming", "Baking")
    page.press(".naming", "Enter")
    assert page.locator(".sidebar li").all_inner_texts() == ["The planet Neptune", "Baking"]
    page.hover(".sidebar li:last-child")
    page.click(".sidebar li:last-child button[aria-label^='Rename']")
    page.fill(".naming", "Given up")
    page.press(".naming", "Escape")
    assert page.locator(".sidebar li").all_inner_texts() == ["The planet Neptune", "Baking"]
    page.hover(".sidebar li:last-child")
    page.click(".sidebar li:last-child button[aria-label^='Delete']")
    assert page.locator(".sidebar li").count() == 1
    page.click(".notice button")
    assert page.locator(".sidebar li").count() == 2


def test_what_is_exported_can_be_imported(page: Any, context: Any, address: str, tmp_path: Path):
    say(page, "Export me")
    answered(page)
    with page.expect_download() as download:
        page.click("text=Export all (JSON)")
    file = tmp_path / "export.json"
    download.value.save_as(file)
    assert json.loads(file.read_text())["pocketphi"] == 1
    other = context.browser.new_context().new_page()
    other.goto(address)
    other.set_input_files("input[type=file]", file)
    other.wait_for_selector("text=1 added")
    assert other.locator(".sidebar li").all_inner_texts() == ["Export me"]
    other.set_input_files("input[type=file]", file)
    other.wait_for_selector("text=1 already here")
    bad = tmp_path / "bad.json"
    bad.write_text('{"conversations": [{"id": 1}]}')
    other.set_input_files("input[type=file]", bad)
    other.wait_for_selector("text=cannot be imported")
    other.context.close()


def test_settings_are_sent_and_kept(page: Any, script: Script):
    page.click("button[aria-label='Settings']")
    page.fill("dialog textarea", "Be brief.")
    page.locator("dialog input[type=range]").first.fill("0.8")
    page.fill("dialog input[type=number] >> nth=2", "7")
    page.select_option("dialog select >> nth=0", "dark")
    page.keyboard.press("Escape")
    page.select_option(".model select", "other")
    say(page, "Hi")
    answered(page)
    asked = script.asked[-1]
    assert asked["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (asked["temperature"], asked["seed"], asked["model"]) == (0.8, 7, "other")
    page.reload()
    assert page.get_attribute("html", "data-theme") == "dark"


@pytest.mark.parametrize(
    ("locale", "placeholder"), [("de-AT", "Nachricht schreiben"), ("ko-KR", "메시지를 입력하세요")]
)
def test_it_speaks_the_browser_s_language(browser: Any, address: str, locale: str, placeholder: str):
    context = browser.new_context(locale=locale)
    page = context.new_page()
    page.goto(address)
    assert page.get_attribute("#composer", "placeholder") == placeholder
    assert page.get_attribute("html", "lang") == locale[:2]
    context.close()


def test_offline_is_told_and_what_there_is_can_be_read(page: Any, context: Any):
    say(page, "Before the cut")
    answered(page)
    page.wait_for_timeout(900)
    context.set_offline(True)
    page.wait_for_selector("text=You are offline")
    assert page.inner_text(".question") == "Before the cut"
    page.reload()
    page.wait_for_selector(".question")
    assert page.inner_text(".question") == "Before the cut", "the service worker has the page"
    page.complaints[:] = [each for each in page.complaints if "ERR_INTERNET_DISCONNECTED" not in each]
    context.set_offline(False)


def test_a_server_that_restarts_is_waited_for(context: Any, script: Script):
    page = context.new_page()
    with running(application(script)) as address:
        page.goto(address)
        page.wait_for_selector(".model select:not([disabled])")
    port = int(address.rsplit(":", 1)[1])
    say(page, "Are you there?")
    page.wait_for_selector("text=The server cannot be reached")
    with running(application(script), port):
        assert answered(page) == "Hello from the script."


def test_an_answer_that_breaks_off_is_kept_and_can_go_on(page: Any, script: Script):
    script.breaks_after, script.pause = 3, 0.05
    say(page, "Break")
    page.wait_for_selector(".remark.failed")
    assert answered(page) == "Hello from the"
    script.breaks_after, script.words = None, [" rest."]
    page.click("text=Go on")
    page.wait_for_selector(".remark", state="detached")
    assert answered(page) == "Hello from the rest."
    page.complaints[:] = [each for each in page.complaints if "ERR_INCOMPLETE_CHUNKED" not in each]


@pytest.mark.parametrize(
    ("status", "error", "headers", "words"),
    [
        (429, {"message": "`8` requests wait already"}, {"Retry-After": "7"}, "Try again in 7 s"),
        (400, {"message": "too long", "code": "context_length_exceeded"}, {}, "longer than the model's context"),
        (500, {"message": "the server failed; its log says why"}, {}, "its log says why"),
    ],
)
def test_refusals_say_what_to_do(
    page: Any, script: Script, status: int, error: dict[str, Any], headers: dict[str, str], words: str
):
    script.refusal = (status, error, headers)
    say(page, "Anything")
    page.wait_for_selector(f"text={words}")
    page.complaints[:] = [each for each in page.complaints if f"status of {status}" not in each]


def test_the_token_of_the_link_opens_and_leaves_the_address(context: Any, script: Script, address: str):
    script.key = "the-key-of-this-server"
    page = context.new_page()
    page.goto(f"{address}/#token={script.key}")
    page.wait_for_selector(".model select:not([disabled])")
    assert "token" not in page.url
    page.reload()
    page.wait_for_selector(".model select:not([disabled])")
    say(page, "Hi")
    assert answered(page)


def test_a_browser_that_keeps_nothing_still_chats(context: Any, script: Script, address: str):
    context.add_init_script(
        "for (const name of ['localStorage', 'indexedDB'])"
        "  Object.defineProperty(window, name, {get() { throw new DOMException('denied', 'SecurityError') }})"
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("text=does not keep")
    say(page, "Hello?")
    assert answered(page) == "Hello from the script."


def test_without_the_token_it_is_asked_for(context: Any, script: Script, address: str):
    script.key = "the-key-of-this-server"
    page = context.new_page()
    page.goto(address)
    for _ in range(3):
        page.wait_for_selector("dialog[open] input")
        page.keyboard.press("Escape")
    expect(page.locator("dialog[open] input")).to_be_visible()
    page.fill("dialog input", "a wrong one")
    page.click("dialog button[type=submit]")
    page.wait_for_selector("text=not the server's")
    page.fill("dialog input", script.key)
    page.click("dialog button[type=submit]")
    page.wait_for_selector("dialog", state="detached")
    page.wait_for_selector(".model select:not([disabled])")
