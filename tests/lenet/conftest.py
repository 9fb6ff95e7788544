import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Test workers share the cores; two threads each would only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
