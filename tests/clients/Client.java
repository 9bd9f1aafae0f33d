// Java's own HTTP client: CONNECTIONS threads ask REQUESTS times in all, every second time by POST.
// Client.java URL CONNECTIONS REQUESTS prints one line of JSON: seconds, the longest request, and what failed.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

public class Client {
    public static void main(String[] args) throws Exception {
        int connections = Integer.parseInt(args[1]);
        int requests = Integer.parseInt(args[2]);
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        AtomicInteger next = new AtomicInteger();
        AtomicLong longest = new AtomicLong();
        ConcurrentLinkedQueue<String> failures = new ConcurrentLinkedQueue<>();
        long begun = System.nanoTime();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < connections; i++) {
            Thread thread = new Thread(() -> {
                for (int number = next.getAndIncrement(); number < requests; number = next.getAndIncrement()) {
                    String method = number % 2 == 1 ? "POST" : "GET";
                    HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(args[0]));
                    if (method.equals("POST")) request.POST(HttpRequest.BodyPublishers.ofString("once"));
                    long one = System.nanoTime();
                    try {
                        int status = client.send(request.build(), HttpResponse.BodyHandlers.ofString()).statusCode();
                        if (status != 200) failures.add(method + ": status " + status);
                    } catch (Exception error) {
                        failures.add(method + ": " + error);
                    }
                    long took = System.nanoTime() - one;
                    longest.accumulateAndGet(took, Math::max);
                }
            });
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) thread.join();
        double seconds = (System.nanoTime() - begun) / 1e9;
        String failed = failures.stream().map(it -> '"' + it.replace("\\", "").replace("\"", "'") + '"')
                .collect(Collectors.joining(","));
        System.out.println("{\"seconds\":" + seconds + ",\"longest\":" + longest.get() / 1e9 + ",\"failures\":[" + failed + "]}");
    }
}
