"""The example `web_app`, looked at in headless Chromium."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from silences import WatchedSilence
from surroundings import need
from web_app_server import serving, serving_with_simulator

from ghl_voice_async.testing import Silence, Status, VoiceAIServer, running_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

A_LONG_TIME = 20.0
QUIET = (
    "--headless",
    "--no-sandbox",  # root, which it often is in a container, has no sandbox
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en",
)


class Page:
    """What a person sees of the application, and does with it."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self._driver = driver
        self._url = url

    def of(self, url: str) -> Page:
        return Page(self._driver, url)

    def open(self, path: str) -> None:
        self._driver.get(self._url + path)

    def text(self, selector: str) -> str:
        return self._driver.find_element(By.CSS_SELECTOR, selector).text

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self._driver.find_elements(By.CSS_SELECTOR, selector)]

    def click(self, selector: str) -> None:
        self._driver.find_element(By.CSS_SELECTOR, selector).click()

    def is_enabled(self, selector: str) -> bool:
        return self._driver.find_element(By.CSS_SELECTOR, selector).is_enabled()

    def type(self, selector: str, text: str) -> None:
        field = self._driver.find_element(By.CSS_SELECTOR, selector)
        field.clear()
        field.send_keys(text)

    def fetch(self, *call_ids: str) -> None:
        self.open("/")
        self.type("#call-ids", "\n".join(call_ids))
        self.click("#fetch")

    def wait_for(self, condition: Callable[[], object]) -> None:
        # While one page takes the place of another, what is asked about either may fail.
        waiting = WebDriverWait(self._driver, A_LONG_TIME, 0.02, ignored_exceptions=[WebDriverException])
        waiting.until(lambda _: condition())

    def run(self, script: str) -> Any:
        return self._driver.execute_script(f"return {script}")

    def be(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def complaints(self) -> list[str]:
        """Give what the browser complained of since the last time, such as a script that it did not run."""
        return [entry["message"] for entry in self._driver.get_log("browser")]  # type: ignore[no-untyped-call]  # Selenium's


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    driver = need("chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = need("chromium", "chromium-browser", "google-chrome")
    for option in (*QUIET, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield started
    finally:
        started.quit()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, VoiceAIServer]]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver, serving_with_simulator() as (url, simulator):
        yield Page(driver, url), simulator


@pytest.fixture
def page(opened: tuple[Page, VoiceAIServer]) -> Page:
    opened[0].be(1280, 900)
    opened[0].complaints()
    return opened[0]


@pytest.fixture
def simulator(opened: tuple[Page, VoiceAIServer]) -> VoiceAIServer:
    return opened[1]


def test_a_call_is_a_conversation_with_its_actions_on_a_time_line(page: Page) -> None:
    page.open("/calls/6500001fe412c3d768bfeb10")
    assert page.texts(".turn")[:2] == [
        "Agent\nThanks for calling, how can I help you today?",
        "Caller\nHi, I would like to book a dental check-up.",
    ]
    assert page.texts(".time-line li") == [
        "0:49\nText the appointment\nsms\nSee you on Thursday at 12:00!",
        "16:45\nStart the quote\nworkflow trigger",
        "21:00\nNote the caller's name\ndata extraction\nThe caller's name",
    ]
    assert page.texts(".extracted dl > div")[0] == "customerName\nEsme Duval"
    assert page.complaints() == []


def test_a_script_in_a_call_is_shown_and_not_run(page: Page, simulator: VoiceAIServer) -> None:
    evil = "<script>window.wasRun = true</script><img src=x onerror='window.wasRun = true'>"
    simulator.add_call_log({"id": "evil", "transcript": f"human: {evil}", "summary": evil})
    page.open("/calls/evil")
    assert page.text(".turn span") == evil
    page.fetch("evil")
    page.wait_for(lambda: page.text("#state") == "All done.")
    assert page.texts("#fetched-calls td")[3] == evil
    assert page.run("window.wasRun") is None
    assert page.complaints() == []


def test_a_bulk_shows_its_progress_and_each_result(page: Page, simulator: VoiceAIServer) -> None:
    page.fetch(*simulator.call_ids(12), "no-such-call")
    page.wait_for(lambda: page.text("#state") == "All done.")
    assert page.text(".counts") == "13 of 13, 1 failed"
    assert page.run("[progress.value, progress.max]") == [13, 13]
    assert {row.split()[0] for row in page.texts("#fetched-calls tr")} == {*simulator.call_ids(12)}
    assert page.texts("#failed-calls td") == [
        "no-such-call",
        "There is no such call. Check the id, and that the call is of this location.",
    ]
    page.click("#fetched-calls a")
    page.wait_for(lambda: page.text("h1").startswith("Call 65"))
    assert page.complaints() == []


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\r", "\n\n"])
def test_a_summary_of_several_lines_is_shown_whole(page: Page, simulator: VoiceAIServer, separator: str) -> None:
    simulator.add_call_log({"id": "lines", "summary": f"One.{separator}Two."})
    page.fetch("lines")
    page.wait_for(lambda: page.text("#state") == "All done.")
    assert page.run("document.querySelectorAll('#fetched-calls td')[3].textContent") == f"One.{separator}Two."


def test_a_bulk_can_be_stopped_and_begun_again(page: Page, simulator: VoiceAIServer) -> None:
    simulator.fail(Silence(), call_id="silent")
    page.fetch("silent", *simulator.call_ids(3))
    page.wait_for(lambda: page.text("#done") == "3")
    assert not page.is_enabled("#fetch")
    page.click("#stop")
    page.wait_for(lambda: page.text("#state") == "Stopped.")
    assert page.run("document.activeElement.id") == "fetch"
    page.click("#fetch")
    page.wait_for(lambda: page.text("#state") == "All done.")
    assert page.text(".counts") == "4 of 4, 1 failed"


def test_a_page_that_is_left_in_mid_stream_ends_its_bulk(page: Page, simulator: VoiceAIServer) -> None:
    silence = WatchedSilence()
    simulator.fail(silence, call_id="silent")
    page.fetch("silent", "no-such-call")
    page.wait_for(lambda: page.text("#done") == "1")
    assert silence.begun.wait(A_LONG_TIME)
    page.open("/calls/no-such-call")
    assert silence.ended.wait(A_LONG_TIME)
    assert page.text("h1") == "There is no such call."


def test_an_id_that_does_not_exist_is_a_page_that_says_so(page: Page) -> None:
    page.open("/")
    page.type("#call-id", "no/such/call")
    page.click("form[action='/calls'] button")
    page.wait_for(lambda: page.text("h1") == "This cannot be asked for.")
    assert "call_id must be 1 to 256 of the characters" in page.text("main")
    page.click("main a")
    page.wait_for(lambda: page.text("h1") == "One call")


def test_a_token_that_is_refused_is_said_to_be_not_the_visitors_fault(
    page: Page, simulator: VoiceAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulator, "token", "another")
    page.fetch("a", "b")
    page.wait_for(lambda: page.text("#state").startswith("HighLevel refused this application's token."))
    page.open("/calls/a")
    assert "whoever runs this application has to give it a valid one." in page.text("main")
    monkeypatch.undo()
    page.open(f"/calls/{simulator.call_ids(1)[0]}")
    assert page.text("h1").startswith("Call 65")


def test_a_server_that_fails_is_a_row_that_says_so(page: Page, simulator: VoiceAIServer) -> None:
    simulator.fail(Status(503), times=5)
    page.fetch("a")
    page.wait_for(lambda: page.text("#state") == "All done.")
    assert page.texts("#failed-calls td") == ["a", "HighLevel failed to answer. Try again in a moment."]


def test_a_stopped_simulator_is_said_to_be_out_of_reach(page: Page) -> None:
    with ExitStack() as simulation:
        simulator = simulation.enter_context(running_in_thread(VoiceAIServer()))
        with serving(simulator) as url:
            simulation.close()
            page = page.of(url)
            page.fetch("a")
            page.wait_for(lambda: page.text("#state") == "All done.")
            assert page.texts("#failed-calls td") == ["a", "HighLevel cannot be reached. Try again in a moment."]
            page.open("/calls/a")
            assert page.text("h1") == "HighLevel cannot be reached."


def test_an_application_that_is_gone_is_said_in_the_page_that_is_still_open(page: Page) -> None:
    with serving_with_simulator() as (url, _):
        page = page.of(url)
        page.open("/")
    page.type("#call-ids", "a")
    page.click("#fetch")
    page.wait_for(lambda: page.text("#state").startswith("The connection to this application was lost."))


def test_an_answer_of_a_proxy_in_front_is_said_to_be_one(page: Page) -> None:
    page.open("/")
    page.run("window.fetch = async () => new Response('<h1>Bad gateway</h1>', { status: 502 })")
    page.type("#call-ids", "a")
    page.click("#fetch")
    page.wait_for(lambda: page.text("#state") == "The server answered with the status 502.")


@pytest.mark.parametrize("path", ["/", "/calls/6500001fe412c3d768bfeb10", "/calls/no-such-call"])
def test_a_phone_is_wide_enough(page: Page, path: str) -> None:
    page.be(390, 844)
    page.open(path)
    assert page.run("document.documentElement.scrollWidth") == 390
